#include "exec/device.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>

#include "exec/driver/find_gpu.h"
#include "kernels/cuda/check.h"
#include "sim/core/error.h"

namespace v4cap::exec {
namespace {

// NVML comes with the driver, and its header not with every toolkit: what is used of its stable
// interface is declared here and looked up at run time.
class Nvml {
 public:
  using Handle = void*;
  enum Clock { sm_clock = 1, memory_clock = 2 };

  static const Nvml& instance() {
    static const Nvml nvml;
    return nvml;
  }

  std::string driver() const {
    char text[80] = {};
    const auto get = find<int(char*, unsigned)>("nvmlSystemGetDriverVersion");
    return get != nullptr && get(text, sizeof text) == 0 ? text : "unknown";
  }
  Handle device(const char* bus) const {
    Handle handle = nullptr;
    const auto get = find<int(const char*, Handle*)>("nvmlDeviceGetHandleByPciBusId_v2");
    return get != nullptr && get(bus, &handle) == 0 ? handle : nullptr;
  }
  double clock_mhz(Handle handle, Clock which) const {
    unsigned mhz = 0;
    const auto get = find<int(Handle, int, unsigned*)>("nvmlDeviceGetClockInfo");
    return get != nullptr && get(handle, which, &mhz) == 0 ? mhz : 0;
  }
  double power_w(Handle handle) const {
    unsigned mw = 0;
    const auto get = find<int(Handle, unsigned*)>("nvmlDeviceGetPowerUsage");
    return get != nullptr && get(handle, &mw) == 0 ? mw / 1000.0 : 0;
  }
  double temperature_c(Handle handle) const {
    unsigned celsius = 0;
    const auto get = find<int(Handle, int, unsigned*)>("nvmlDeviceGetTemperature");
    return get != nullptr && get(handle, 0, &celsius) == 0 ? celsius : 0;
  }

 private:
  Nvml() : library_(dlopen("libnvidia-ml.so.1", RTLD_NOW)) {
    const auto start = find<int()>("nvmlInit_v2");
    if (start == nullptr || start() != 0) library_ = nullptr;
  }
  // Null when there is no library.
  template <class Function>
  Function* find(const char* name) const {
    if (library_ == nullptr) return nullptr;
    return reinterpret_cast<Function*>(dlsym(library_, name));
  }
  void* library_;
};

int attribute(int device, cudaDeviceAttr which) {
  int value = 0;
  V4CAP_CUDA(cudaDeviceGetAttribute(&value, which, device));
  return value;
}

}  // namespace

Device open_device(int index) {
  DriverAnswer answer;
  V4CAP_CUDA(cudaRuntimeGetVersion(&answer.runtime_version));
  V4CAP_CUDA(cudaDriverGetVersion(&answer.driver_version));
  if (const cudaError_t status = cudaGetDeviceCount(&answer.gpus); status != cudaSuccess) {
    answer.refusal = cudaGetErrorString(status);
    answer.gpus = 0;
  }
  if (const char* visible = std::getenv("CUDA_VISIBLE_DEVICES")) answer.visible_devices = visible;
  if (answer.gpus == 0) throw missing_gpu(answer);
  if (index < 0 || index >= answer.gpus) {
    throw InputError({"--device"},
                     fmt::format("expected a GPU from 0 to {}, found {}", answer.gpus - 1, index));
  }
  cudaDeviceProp properties{};
  V4CAP_CUDA(cudaGetDeviceProperties(&properties, index));
  check_supported({index, properties.name, properties.major, properties.minor,
                   attribute(index, cudaDevAttrMaxSharedMemoryPerBlockOptin)});
  V4CAP_CUDA(cudaSetDevice(index));
  const int runtime = answer.runtime_version;
  Device device;
  device.index = index;
  device.name = properties.name;
  device.major = properties.major;
  device.minor = properties.minor;
  device.multiprocessors = properties.multiProcessorCount;
  device.l2_bytes = properties.l2CacheSize;
  device.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
  device.driver = Nvml::instance().driver();
  device.cuda_runtime = fmt::format("{}.{}", runtime / 1000, runtime % 1000 / 10);
  device.sm_clock_max_mhz = attribute(index, cudaDevAttrClockRate) / 1000.0;
  device.memory_bytes_per_s_nominal = 2000.0 * attribute(index, cudaDevAttrMemoryClockRate) *
                                      attribute(index, cudaDevAttrGlobalMemoryBusWidth) / 8;
  return device;
}

Clocks read_clocks(const Device& device) {
  char bus[32] = {};
  V4CAP_CUDA(cudaDeviceGetPCIBusId(bus, sizeof bus, device.index));
  const Nvml& nvml = Nvml::instance();
  const Nvml::Handle handle = nvml.device(bus);
  if (handle == nullptr) return {};
  return {nvml.clock_mhz(handle, Nvml::sm_clock), nvml.clock_mhz(handle, Nvml::memory_clock),
          nvml.power_w(handle), nvml.temperature_c(handle)};
}

namespace {

thread_local bool take_mapped_memory = false;

}  // namespace

MappedMemoryScope::MappedMemoryScope() : outer_(std::exchange(take_mapped_memory, true)) {}

MappedMemoryScope::~MappedMemoryScope() {
  take_mapped_memory = outer_;
}

void out_of_device_memory(std::size_t bytes, const char* reason) {
  cudaGetLastError();
  std::size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  const auto gib = [](std::size_t n) { return static_cast<double>(n) / (1 << 30); };
  throw RunError(
      fmt::format("out of GPU memory: asked for {:.3f} GiB, {:.3f} of {:.3f} GiB are free ({})",
                  gib(bytes), gib(free), gib(total), reason));
}

DeviceMemory::DeviceMemory(std::size_t bytes) : bytes_(bytes), mapped_(take_mapped_memory) {
  if (bytes == 0) return;
  const cudaError_t status =
      mapped_ ? cudaHostAlloc(&pointer_, bytes, cudaHostAllocMapped) : cudaMalloc(&pointer_, bytes);
  if (status != cudaSuccess) out_of_device_memory(bytes, cudaGetErrorString(status));
}

DeviceMemory::~DeviceMemory() {
  if (pointer_ == nullptr) return;
  if (mapped_) {
    cudaFreeHost(pointer_);
  } else {
    cudaFree(pointer_);
  }
}

void copy_to_device(void* device, const void* host, std::size_t bytes) {
  if (bytes > 0) V4CAP_CUDA(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice));
}

void copy_to_host(void* host, const void* device, std::size_t bytes) {
  if (bytes > 0) V4CAP_CUDA(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost));
}

void poison(void* device, std::size_t bytes) {
  if (bytes > 0) V4CAP_CUDA(cudaMemset(device, 0x7f, bytes));
}

}  // namespace v4cap::exec
