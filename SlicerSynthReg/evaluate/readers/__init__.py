"""Statistics of readers' answers: proportions, detection, agreement, and how many cases a study needs. No torch."""
