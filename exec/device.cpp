#include "exec/device.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "exec/driver/find_gpu.h"
#include "exec/driver/gpu_calls.h"
#include "exec/driver/nvml.h"
#include "kernels/cuda/check.h"
#include "sim/core/error.h"

namespace v4cap::exec {
namespace {

class CudaCalls final : public GpuCalls {
 public:
  int allocate(void** memory, std::size_t bytes, kernels::Stream stream) override {
    const cudaError_t status =
        stream == nullptr ? cudaMalloc(memory, bytes) : cudaMallocAsync(memory, bytes, stream);
    return forgotten(status);
  }
  void release(void* memory, kernels::Stream stream) override {
    if (stream == nullptr) {
      cudaFree(memory);
    } else {
      cudaFreeAsync(memory, stream);
    }
  }
  void memory(std::int64_t* free_bytes, std::int64_t* total_bytes) override {
    std::size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    *free_bytes = static_cast<std::int64_t>(free);
    *total_bytes = static_cast<std::int64_t>(total);
  }
  int query(kernels::Stream stream) override { return forgotten(cudaStreamQuery(stream)); }
  std::string text(int code) override {
    const auto status = static_cast<cudaError_t>(code);
    return fmt::format("{} ({})", cudaGetErrorName(status), cudaGetErrorString(status));
  }

 private:
  // What is not sticky must not be found again by the next launch.
  static int forgotten(cudaError_t status) {
    if (status != cudaSuccess) cudaGetLastError();
    return status;
  }
};

CudaCalls cuda_calls;
const bool calls_are_set = (set_gpu_calls(&cuda_calls), true);

int attribute(int device, cudaDeviceAttr which) {
  int value = 0;
  V4CAP_CUDA(cudaDeviceGetAttribute(&value, which, device));
  return value;
}

// As nvidia-smi writes it.
std::string uuid_text(const cudaUUID_t& uuid) {
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

}  // namespace

Device find_device(int index) {
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
  char bus[32] = {};
  V4CAP_CUDA(cudaDeviceGetPCIBusId(bus, sizeof bus, index));
  const auto monitor = std::make_shared<NvmlMonitor>(bus);
  const int runtime = answer.runtime_version;
  Device device;
  device.index = index;
  device.name = properties.name;
  device.uuid = uuid_text(properties.uuid);
  device.major = properties.major;
  device.minor = properties.minor;
  device.multiprocessors = properties.multiProcessorCount;
  device.l2_bytes = properties.l2CacheSize;
  device.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
  device.driver = monitor->identity().driver;
  device.monitor = monitor;
  device.cuda_runtime = fmt::format("{}.{}", runtime / 1000, runtime % 1000 / 10);
  device.sm_clock_max_mhz = attribute(index, cudaDevAttrClockRate) / 1000.0;
  device.memory_bytes_per_s_nominal = 2000.0 * attribute(index, cudaDevAttrMemoryClockRate) *
                                      attribute(index, cudaDevAttrGlobalMemoryBusWidth) / 8;
  return device;
}

Device open_device(int index) {
  Device device = find_device(index);
  const std::vector<GpuProcess> before = device.monitor->processes();
  V4CAP_CUDA(cudaSetDevice(index));
  V4CAP_CUDA(cudaFree(nullptr));  // makes the context, by which the driver knows this process
  device.monitor->own_is(own_process(before, device.monitor->processes(), getpid()));
  return device;
}

Clocks read_clocks(const Device& device) {
  if (device.monitor == nullptr) return {};
  const GpuReading now = device.monitor->read().value_or(GpuReading{});
  return {now.sm_mhz, now.memory_mhz, now.power_w, now.temperature_c};
}

namespace {

thread_local bool take_mapped_memory = false;

}  // namespace

MappedMemoryScope::MappedMemoryScope() : outer_(std::exchange(take_mapped_memory, true)) {}

MappedMemoryScope::~MappedMemoryScope() {
  take_mapped_memory = outer_;
}

DeviceMemory::DeviceMemory(std::size_t bytes, const char* what_for)
    : bytes_(bytes), mapped_(take_mapped_memory) {
  if (bytes == 0) return;
  if (mapped_) {
    V4CAP_CUDA(cudaHostAlloc(&pointer_, bytes, cudaHostAllocMapped));
  } else {
    pointer_ = allocate_on_gpu(bytes, what_for);
  }
}

DeviceMemory::~DeviceMemory() {
  if (!mapped_) {
    release_on_gpu(pointer_);
  } else if (pointer_ != nullptr && !gpu_is_lost()) {
    cudaFreeHost(pointer_);
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
