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
        ("reserved", ctypes.c_long * 3),
    ]


def test_fields_in_any_order_land_where_they_belong() -> None:
    layout = Layout(Outer, ["when.nsec", "signed", "small", "wide", "when.sec"])
    target = Outer()
    target.unused = 9
    layout.write(ctypes.addressof(target), (5, -7, 65535, 1 << 63, -1))
    assert (target.small, target.wide, target.signed) == (65535, 1 << 63, -7)
    assert (target.when.sec, target.when.nsec, target.unused) == (-1, 5, 0)
    assert layout.size == ctypes.sizeof(Outer)


def test_unknown_fields_are_an_error() -> None:
    with pytest.raises(KeyError):
        Layout(Outer, ["no_such"])
