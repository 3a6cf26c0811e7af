"""Where the work is done: partition by partition, in this process or on many machines.

`corpus/partitions` cuts the corpus, `embedding/partition_work` is what is done for a partition, `executor` says what
runs that, `ray_cluster` does so on Ray. What leaves a partition are columns of numbers and sums; the process that draws
puts them together (`columns`), one after the other, so that all that comes after is one computation, the same wherever
the columns are from and however the corpus was cut.
"""
