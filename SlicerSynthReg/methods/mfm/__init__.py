"""Medical Flow Matching: native and contrast CT, converted both ways, with the methods that the paper compares."""
