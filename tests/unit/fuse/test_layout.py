"""Structures packed in one step are what ctypes reads back."""

import ctypes

import pytest

from yas3fs.fuse.layout import Layout


class Inner(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]


class Outer(ctypes.Structure):
    _fields_ = [
        ("small", ctypes.c_uint16),
        ("unused", ctypes.c_int),
        ("wide", ctypes.c_uint64),
        ("signed", ctypes.c_int32),
        ("when", Inner),
        ("seconds", ctypes.c_double),
        ("reserved", ctypes.c_long * 3),
    ]


def test_fields_in_any_order_land_where_they_belong() -> None:
    layout = Layout(Outer, ["when.nsec", "signed", "small", "wide", "when.sec", "seconds"])
    target = Outer.from_buffer_copy(layout.pack(5, -7, 65535, 1 << 63, -1, 0.5))
    assert (target.small, target.wide, target.signed) == (65535, 1 << 63, -7)
    assert (target.when.sec, target.when.nsec, target.unused) == (-1, 5, 0)
    assert (target.seconds, list(target.reserved)) == (0.5, [0, 0, 0])
    in_order = Layout(Outer, ["small", "wide", "when.sec"])
    target = Outer.from_buffer_copy(in_order.pack(1, 2, 3))
    assert (target.small, target.wide, target.when.sec) == (1, 2, 3)


def test_unknown_fields_are_an_error() -> None:
    with pytest.raises(KeyError):
        Layout(Outer, ["no_such"])
