//! Events of a park's boundary and life (调区扩区, 合并, 撤销 …) and their area arithmetic.
