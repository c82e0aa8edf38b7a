"""Studies: what a claim needs between the mathematics and its page. Seeds and sizes in, a table out."""
