"""Studies: what a claim needs between the mathematics and its page. Sizes in, a table out."""
