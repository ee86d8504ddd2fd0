"""The three published networks and their blocks: tensors in, tensors out.

A library: may import `errors` alone; knows no study, no diffusion and no file.
"""
