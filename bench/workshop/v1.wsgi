# v1: no metrics.
from hello import application
