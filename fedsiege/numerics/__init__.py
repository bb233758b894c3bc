"""Numerical building blocks of rules, attacks and detectors; no module here depends on a rule.

- matrix.py       blocks of columns and rows, weighted sums, sorted columns of an ``(n, d)`` matrix
- threads.py      blocks of a matrix, shared among torch's threads
- distances.py    squared distances of all pairs, distances to a point, norms
- cosines.py      cosines of all pairs, dot products with a direction
- means.py        sums and means in float64, clipped means, the median
- running_sum.py  an exact weighted mean that does not depend on the order of arrival
- exact_mean.py   the same mean, computed from a matrix
- covariance.py   centred inner products and principal directions, from distances
- deviation.py    robust z-scores, identical rows
- clusters.py     2-means of numbers, the gap statistic, HDBSCAN's majority cluster
- lbfgs.py        the Hessian times a vector, by L-BFGS
"""
