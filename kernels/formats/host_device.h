// Functions that host code, kernels and CPU references share are marked V4CAP_HD.
#pragma once

#ifdef __CUDACC__
#define V4CAP_HD __host__ __device__
#else
#define V4CAP_HD
#endif
