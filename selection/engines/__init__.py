"""Where the work is done: in this process, or part by part on many machines.

An engine (`engine`) hashes, looks at fields, embeds and clusters a corpus. All that comes after, methods, designs,
evidence and outputs, is the same code for every engine: it goes through all records by a few functions of
`per_record`, which a `Home` (`scattered`) answers part by part.

- `parts` cuts the corpus, `part_facts` is what is known of one part, `part_work` what is done for it. `executor` says
  what runs that, `ray_cluster` does so on Ray; `crew` are parts and an executor before anything is known of records.
- `laying_embeddings`, `laying_clusters`: the groundwork (`ground`). `marking`: conditions and groups.
- `line` is the draw along the order of the clusters (`cluster_order`) and its proof; groups have lines of their own.
- `exchange`: numbers that go from every part to others, through files. By it `duplicates` finds equal texts, and
  `dealing` puts records into another order, that of random keys (`random_order`).

**What the driver holds**: the points that the centroids learn from and the centroids, O(k d); a few numbers for each of
8 k shells, of groups at most 262,144 shells or one for each; the values of the groups; what is certain or excluded, of
which there is no more than was ever drawn; 2 numbers for each record of the budget, with `--tokens` about 20 for each
of half a million records at most, or of twice the budget; names of parts, and the rows of their bad records; for
`low-rank` a matrix of d x d, for `k-center` the vectors that it chooses among, as in one process. Never a number for
each record.

**What is kept where**: the embeddings of texts, and two numbers for each record (cluster, distance), lie in the work
folder, which all machines share. Probabilities and scores are functions of these, and worked out again whenever they
are needed: about 30 times, at 38 million records a second and core. What only one run needs lies in a folder of the
work folder that ends with it (`kept`): flags, groups, copies, tokens (11 bytes a record, of what is asked for), what
was unpacked, what the parts exchange (25 bytes a record and 12 for each text for `--dedup`; 40 for each record that
may be drawn for `--sampler simple`, for each subset). An exchange opens as many files as there are pairs of parts.

**What is refused**, and why:

- `--task regression`: its encoder must have measured all records before the first is embedded. The same holds of
  measured encoders of others.
- `--dedup-near`: compares the vectors of whole clusters, which lie in all parts.
- `--dry-run`: its trial is of this machine.

**A plan on paper for a billion records.** Texts as long as T0's (1,175 bytes a record as JSONL, 1.2 TB), `lexical` with
256 dimensions, k = √n = 31,623, 1,024 parts of 1.15 GB. Rates are of one core of two that were shared with other work,
in processor time, on 60,000 records (November 2026):

    stage                records/s and core   core-hours for 10^9
    hash                            817,000                   0.3
    count texts (fit)                56,000                   5.0
    embed                             6,900                  40.2
    assign                           23,200                  12.0
    distances                       552,000                   0.5
    sums (about 30)          38,000,000 each                   0.2
    order and draw                  768,000                   0.4
    together                                                 58.5

- *Seconds*: on 10 machines of 16 cores 58.5 core-hours are 22 minutes. The driver adds what only it does: the fit
  (8 s), and the training on 1,048,576 points, 7.3 million visits at the rate of `assign` or better: about 5
  core-minutes. About 35 calls for each part, 36,000, are a minute at the 1,100 a second measured on two cores.
- *Bytes*: the corpus is read five times (hash, count, fit, embed, selected records): 5.9 TB. The work folder takes 548
  bytes a record (512 of them the vector in float16), 0.55 TB; the vectors are read twice more. Through Ray go, for each
  part, three times the sums of 8 k cells (16 bytes each), twice their bounds (24 bytes) and about 12 sums over k
  clusters: 28 bytes a record in all. What it draws comes on top: the subset itself, and 40 bytes for each record of
  it; and once the training points, 1 GB. Measured (`make bench`, `engines`; a million vectors, k = 1,000, 8 parts):
  10 bytes a record, 262 MB of training points, and 4 MB that each machine is sent once.
- *Cost*: AWS's c5.4xlarge has 16 virtual CPUs for 0.68 USD an hour (us-east-1, on demand; the price in AWS's own
  examples). 58.5 core-hours are 2.50 USD: 0.0025 USD for a million records, file system and network left out. MiniLM
  embeds 40 records a second on two cores: 13,900 core-hours, or 590 USD, 0.59 USD for a million. A GPU machine such as
  g5.xlarge (1.006 USD an hour) breaks even at 470 records a second; its rate has not been measured here.

None of this has been run at that size. What has: ten million vectors of 256 dimensions in Parquet (10 GB), k = 1,000,
on two cores that did nothing else: 209 s where one process takes 174 s. The process that draws needed 1,018 MiB, Ray's
part of it included, and with one million 1,085 MiB. Alone on its cores the lexical encoder embeds 8,300 records a
second and core.
"""
