"""What ``b2b bench`` measures, and how: forms of one computation side by side."""
