"""Data sets: one file a set, one split into four parts, batches on the device from memory or from files, batched augmentation."""
