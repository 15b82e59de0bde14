"""Data sets on the device: one file a set, one stratified split into four parts, batched augmentation."""
