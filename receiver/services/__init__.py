"""What the receiver does for a peer: C-STORE, storage commitment, MPPS, availability, STOW-RS."""
