"""Running the notebooks, judging what they record, and building the book.

The mathematics never imports this package; it is what ``python -m molrg`` calls.
"""
