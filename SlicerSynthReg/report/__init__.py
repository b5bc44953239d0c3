"""What a person reads after a registration: pictures, pages, curves, and the record they are made from."""
