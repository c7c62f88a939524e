"""What the administrator wants: one table of options, resolved once and then frozen."""
