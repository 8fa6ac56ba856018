// v4exec whose ranks all run on the first GPU: a rehearsal of what it does on several, where there is
// one. Every launch, sum and message between ranks is the real one but for what lies below them: the
// GPUs that the runtime names are the same, NCCL is the stand-in below, and NVML is missing, which
// would see ranks disturb each other. Processes take turns on a GPU, some milliseconds each: times
// mean nothing, and results are compared with nothing but themselves.
//
// The linker puts these in place of the runtime's calls (--wrap, tests/CMakeLists.txt).
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <nccl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cuda/atomic>
#include <string>
#include <thread>

// ---- one GPU under several names ----

extern "C" {

cudaError_t __real_cudaGetDeviceCount(int* count);
cudaError_t __real_cudaSetDevice(int device);
cudaError_t __real_cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t __real_cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int device);
cudaError_t __real_cudaDeviceGetPCIBusId(char* bus, int length, int device);
void* __real_dlopen(const char* name, int flags);

cudaError_t __wrap_cudaGetDeviceCount(int* count) {
  const cudaError_t status = __real_cudaGetDeviceCount(count);
  const char* ranks = std::getenv("V4EXEC_RANKS");
  if (status == cudaSuccess && *count > 0) *count = ranks != nullptr ? std::atoi(ranks) : 2;
  return status;
}

cudaError_t __wrap_cudaSetDevice(int) {
  return __real_cudaSetDevice(0);
}

cudaError_t __wrap_cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  const cudaError_t status = __real_cudaGetDeviceProperties(properties, 0);
  // Of no profile's GPU, and nobody takes what is measured for one's.
  std::snprintf(properties->name, sizeof properties->name, "ranks on one GPU");
  return status;
}

cudaError_t __wrap_cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int) {
  return __real_cudaDeviceGetAttribute(value, which, 0);
}

cudaError_t __wrap_cudaDeviceGetPCIBusId(char* bus, int length, int) {
  return __real_cudaDeviceGetPCIBusId(bus, length, 0);
}

void* __wrap_dlopen(const char* name, int flags) {
  if (name != nullptr && std::strcmp(name, "libnccl.so.2") == 0)
    return __real_dlopen(nullptr, flags);
  if (name != nullptr && std::strcmp(name, "libnvidia-ml.so.1") == 0) return nullptr;
  return __real_dlopen(name, flags);
}

}  // extern "C"

// ---- sums and broadcasts over memory that all ranks map ----

namespace {

constexpr std::size_t kSlotBytes = std::size_t{128} << 20;  // of one rank's part of one sum
constexpr std::size_t kCounterBytes = 4096, kCounterStride = 128;
constexpr auto kPatience = std::chrono::seconds(120);

// In memory of the host, while ranks come together.
struct Meeting {
  std::atomic<int> ready{0}, came{0};
  cudaIpcMemHandle_t region;
};

template <class Done>
bool wait_until(const Done& done) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace

struct ncclComm {
  int rank = 0, ranks = 0;
  char* region = nullptr;  // counters of all ranks, then two slots of each
  unsigned* epoch = nullptr;
};

namespace {

__device__ char* slot_of(char* region, int rank, unsigned epoch) {
  return region + kCounterBytes + (2 * static_cast<std::size_t>(rank) + epoch % 2) * kSlotBytes;
}

__device__ unsigned* counter_of(char* region, int rank) {
  return reinterpret_cast<unsigned*>(region + static_cast<std::size_t>(rank) * kCounterStride);
}

template <class T>
__global__ void publish(const T* in, std::size_t n, char* region, int rank, const unsigned* epoch) {
  T* slot = reinterpret_cast<T*>(slot_of(region, rank, *epoch));
  const std::size_t stride = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += stride) {
    slot[i] = in[i];
  }
}

// Every rank has published. Whoever publishes twice more has been here once more, so that all have
// read what it then overwrites.
__global__ void meet(char* region, int rank, int ranks, const unsigned* epoch) {
  using Counter = cuda::atomic_ref<unsigned, cuda::thread_scope_system>;
  const unsigned now = *epoch + 1;
  Counter(*counter_of(region, rank)).store(now, cuda::memory_order_release);
  for (int r = 0; r < ranks; ++r) {
    const Counter other(*counter_of(region, r));
    while (static_cast<int>(other.load(cuda::memory_order_acquire) - now) < 0) __nanosleep(1000);
  }
}

__device__ float wide(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
__device__ double wide(double x) {
  return x;
}
__device__ void narrow(float x, __nv_bfloat16* out) {
  *out = __float2bfloat16(x);
}
__device__ void narrow(double x, double* out) {
  *out = x;
}

template <class T>
__global__ void reduce(T* out, std::size_t n, char* region, int ranks, bool largest,
                       const unsigned* epoch) {
  const std::size_t stride = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += stride) {
    auto all = wide(reinterpret_cast<const T*>(slot_of(region, 0, *epoch))[i]);
    for (int r = 1; r < ranks; ++r) {
      const auto one = wide(reinterpret_cast<const T*>(slot_of(region, r, *epoch))[i]);
      all = largest ? (one > all ? one : all) : all + one;
    }
    narrow(all, out + i);
  }
}

__global__ void take(std::int64_t* out, std::size_t n, char* region, int root,
                     const unsigned* epoch) {
  const auto* slot = reinterpret_cast<const std::int64_t*>(slot_of(region, root, *epoch));
  for (std::size_t i = threadIdx.x; i < n; i += blockDim.x) out[i] = slot[i];
}

__global__ void pass(unsigned* epoch) {
  ++*epoch;
}

unsigned blocks_of(std::size_t n) {
  return static_cast<unsigned>(std::clamp<std::size_t>((n + 255) / 256, 1, 128));
}

ncclResult_t launched() {
  return cudaGetLastError() == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

template <class T>
ncclResult_t all_reduce(const void* in, void* out, std::size_t n, bool largest,
                        const ncclComm* comm, cudaStream_t stream) {
  if (n * sizeof(T) > kSlotBytes) return ncclInvalidArgument;
  publish<<<blocks_of(n), 256, 0, stream>>>(static_cast<const T*>(in), n, comm->region, comm->rank,
                                            comm->epoch);
  meet<<<1, 1, 0, stream>>>(comm->region, comm->rank, comm->ranks, comm->epoch);
  reduce<<<blocks_of(n), 256, 0, stream>>>(static_cast<T*>(out), n, comm->region, comm->ranks,
                                           largest, comm->epoch);
  pass<<<1, 1, 0, stream>>>(comm->epoch);
  return launched();
}

ncclResult_t come_together(ncclComm* comm, const std::string& name, Meeting* meeting) {
  if (comm->rank == 0) {
    const std::size_t bytes =
        kCounterBytes + 2 * static_cast<std::size_t>(comm->ranks) * kSlotBytes;
    void* region = nullptr;
    if (cudaMalloc(&region, bytes) != cudaSuccess ||
        cudaMemset(region, 0, kCounterBytes) != cudaSuccess ||
        cudaDeviceSynchronize() != cudaSuccess ||
        cudaIpcGetMemHandle(&meeting->region, region) != cudaSuccess) {
      return ncclUnhandledCudaError;
    }
    comm->region = static_cast<char*>(region);
    meeting->ready = 1;
  } else {
    if (!wait_until([&] { return meeting->ready == 1; })) return ncclSystemError;
    void* region = nullptr;
    if (cudaIpcOpenMemHandle(&region, meeting->region, cudaIpcMemLazyEnablePeerAccess) !=
        cudaSuccess) {
      return ncclUnhandledCudaError;
    }
    comm->region = static_cast<char*>(region);
  }
  void* epoch = nullptr;
  if (cudaMalloc(&epoch, sizeof(unsigned)) != cudaSuccess ||
      cudaMemset(epoch, 0, sizeof(unsigned)) != cudaSuccess ||
      cudaDeviceSynchronize() != cudaSuccess) {
    return ncclUnhandledCudaError;
  }
  comm->epoch = static_cast<unsigned*>(epoch);
  ++meeting->came;
  const bool all = wait_until([&] { return meeting->came == comm->ranks; });
  if (comm->rank == 0) shm_unlink(name.c_str());
  return all ? ncclSuccess : ncclSystemError;
}

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  std::memset(id->internal, 0, sizeof id->internal);
  return getrandom(id->internal, 8, 0) == 8 ? ncclSuccess : ncclSystemError;
}

ncclResult_t ncclCommInitRank(ncclComm_t* made, int ranks, ncclUniqueId id, int rank) {
  std::string name = "/v4exec-ranks-";
  for (int i = 0; i < 8; ++i) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(id.internal[i]));
    name += digits;
  }
  const int file = shm_open(name.c_str(), O_CREAT | O_RDWR, 0600);
  if (file < 0 || ftruncate(file, sizeof(Meeting)) != 0) return ncclSystemError;
  void* at = mmap(nullptr, sizeof(Meeting), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (at == MAP_FAILED) return ncclSystemError;
  auto* comm = new ncclComm{rank, ranks, nullptr, nullptr};
  const ncclResult_t result = come_together(comm, name, static_cast<Meeting*>(at));
  munmap(at, sizeof(Meeting));
  *made = comm;
  return result;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  delete comm;  // its memory goes with the process
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclInvalidUsage ? "the stand-in for NCCL has no such call"
         : result == ncclSuccess    ? "no error"
                                    : "ranks on one GPU did not come together";
}

const char* ncclGetLastError(ncclComm_t) {
  return "";
}

ncclResult_t ncclAllReduce(const void* in, void* out, size_t n, ncclDataType_t type,
                           ncclRedOp_t how, ncclComm_t comm, cudaStream_t stream) {
  if (type == ncclBfloat16 && how == ncclSum) {
    return all_reduce<__nv_bfloat16>(in, out, n, false, comm, stream);
  }
  if (type == ncclFloat64 && (how == ncclSum || how == ncclMax)) {
    return all_reduce<double>(in, out, n, how == ncclMax, comm, stream);
  }
  return ncclInvalidUsage;
}

ncclResult_t ncclBroadcast(const void* in, void* out, size_t n, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  if (type != ncclInt64) return ncclInvalidUsage;
  if (n * sizeof(std::int64_t) > kSlotBytes) return ncclInvalidArgument;
  if (comm->rank == root) {
    publish<<<blocks_of(n), 256, 0, stream>>>(static_cast<const std::int64_t*>(in), n, comm->region,
                                              comm->rank, comm->epoch);
  }
  meet<<<1, 1, 0, stream>>>(comm->region, comm->rank, comm->ranks, comm->epoch);
  take<<<1, 256, 0, stream>>>(static_cast<std::int64_t*>(out), n, comm->region, root, comm->epoch);
  pass<<<1, 1, 0, stream>>>(comm->epoch);
  return launched();
}

// What steps do not need.
ncclResult_t ncclAllGather(const void*, void*, size_t, ncclDataType_t, ncclComm_t, cudaStream_t) {
  return ncclInvalidUsage;
}
ncclResult_t ncclReduceScatter(const void*, void*, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t,
                               cudaStream_t) {
  return ncclInvalidUsage;
}
ncclResult_t ncclSend(const void*, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t) {
  return ncclInvalidUsage;
}
ncclResult_t ncclRecv(void*, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t) {
  return ncclInvalidUsage;
}
ncclResult_t ncclGroupStart() {
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  return ncclSuccess;
}

}  // extern "C"
