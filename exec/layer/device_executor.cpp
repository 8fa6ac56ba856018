#include "exec/layer/device_executor.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <typeinfo>

#include "exec/driver/gpu_calls.h"
#include "kernels/cuda/check.h"
#include "kernels/usable.h"
#include "sim/core/error.h"

namespace v4cap::exec {

DeviceExecutor::DeviceExecutor(const Device& device, bool portable_only, ChoiceLog* record)
    : device_(device), portable_only_(portable_only), record_(record) {
  V4CAP_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
}

DeviceExecutor::~DeviceExecutor() {
  cudaStreamDestroy(stream_);
}

// Memory follows the order of the stream, so that a buffer may be given back while the work that
// reads it is still queued.
std::shared_ptr<void> DeviceExecutor::allocate(std::size_t bytes) {
  bytes = std::max<std::size_t>(bytes, 16);
  std::shared_ptr<void> memory(
      allocate_on_gpu(bytes, "activations and workspaces of a layer", stream_),
      [stream = stream_](void* p) { release_on_gpu(p, stream); });
  V4CAP_CUDA(cudaMemsetAsync(memory.get(), 0, bytes, stream_));
  return memory;
}

void DeviceExecutor::write(void* to, const void* from_host, std::size_t bytes) {
  if (bytes == 0) return;
  V4CAP_CUDA(cudaMemcpyAsync(to, from_host, bytes, cudaMemcpyHostToDevice, stream_));
  V4CAP_CUDA(cudaStreamSynchronize(stream_));
}

void DeviceExecutor::read(void* to_host, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  V4CAP_CUDA(cudaMemcpyAsync(to_host, from, bytes, cudaMemcpyDeviceToHost, stream_));
  V4CAP_CUDA(cudaStreamSynchronize(stream_));
}

template <class Args>
void DeviceExecutor::launch(const Args& args) {
  std::string reasons;
  for (const auto& version : kernels::versions<Args>()) {
    if (!kernels::runs_on(version.target, device_.major, device_.minor)) continue;
    if (portable_only_ && version.target != kernels::Target::portable) continue;
    if (!kernels::usable(version)) continue;
    const std::string refusal = version.refuses == nullptr ? "" : version.refuses(args);
    if (!refusal.empty()) {
      reasons += fmt::format("; {}: {}", version.name, refusal);
      continue;
    }
    const std::size_t bytes =
        version.workspace_bytes == nullptr ? 0 : version.workspace_bytes(args);
    const std::shared_ptr<void> workspace = bytes == 0 ? nullptr : DeviceExecutor::allocate(bytes);
    version.launch(args, workspace.get(), stream_);
    return;
  }
  throw RunError(fmt::format("no version of an operator takes its arguments ({}){}",
                             typeid(Args).name(), reasons));
}

void DeviceExecutor::run(const kernels::router::Args& args) {
  launch(args);
  if (record_ != nullptr) {
    record_->choices.push_back({fetch(args.chosen, std::int64_t{args.tokens} * args.active)});
  }
}

void DeviceExecutor::run(const kernels::topk::Args& args) {
  launch(args);
  if (record_ != nullptr) {
    record_->choices.push_back({fetch(args.selected, std::int64_t{args.rows} * args.k)});
  }
}

}  // namespace v4cap::exec
