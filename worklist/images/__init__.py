"""The images of an analysed series: found, made ready by a process of its own, cached, served."""
