"""Tables and figures, the paper's beside ours."""
