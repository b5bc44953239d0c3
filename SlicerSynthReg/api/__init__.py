"""The public functions: images in memory or on disk in, named results out. SlicerSynthReg exports them lazily."""
