#include "exec/step/stream_executor.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <typeinfo>

#include "kernels/cuda/check.h"
#include "kernels/usable.h"
#include "sim/core/error.h"

namespace v4cap::exec {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr std::size_t kLeastChunk = std::size_t{256} << 20;

// Those that a result may rest on, the preferred first. Known before the first launch.
template <class Args>
const std::vector<kernels::Version<Args>>& usable_versions() {
  static const std::vector<kernels::Version<Args>> all = [] {
    auto versions = kernels::versions<Args>();
    std::erase_if(versions, [](const auto& version) { return !kernels::usable(version); });
    return versions;
  }();
  return all;
}

}  // namespace

StreamExecutor::StreamExecutor(const Device& device) : device_(device) {
  V4CAP_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
}

StreamExecutor::~StreamExecutor() {
  cudaStreamDestroy(stream_);
}

std::size_t StreamExecutor::arena_bytes() const {
  std::size_t bytes = 0;
  for (const DeviceMemory& chunk : chunks_) bytes += chunk.bytes();
  return bytes;
}

std::shared_ptr<void> StreamExecutor::allocate(std::size_t bytes) {
  bytes = (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  while (chunk_ < chunks_.size() && used_ + bytes > chunks_[chunk_].bytes()) {
    ++chunk_;
    used_ = 0;
  }
  if (chunk_ == chunks_.size()) chunks_.emplace_back(std::max(bytes, kLeastChunk));
  auto* memory = static_cast<char*>(chunks_[chunk_].get()) + used_;
  used_ += bytes;
  return {std::shared_ptr<void>(), memory};  // owned by the arena
}

void StreamExecutor::write(void* to, const void* from_host, std::size_t bytes) {
  if (bytes > 0) V4CAP_CUDA(cudaMemcpyAsync(to, from_host, bytes, cudaMemcpyHostToDevice, stream_));
}

void StreamExecutor::read(void* to_host, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  V4CAP_CUDA(cudaMemcpyAsync(to_host, from, bytes, cudaMemcpyDeviceToHost, stream_));
  V4CAP_CUDA(cudaStreamSynchronize(stream_));
}

void* StreamExecutor::workspace(std::type_index op, std::size_t bytes) {
  if (bytes == 0) return nullptr;
  std::vector<DeviceMemory>& all = workspaces_[op];
  if (all.empty() || all.back().bytes() < bytes) all.emplace_back(bytes);
  return all.back().get();
}

template <class Args>
void StreamExecutor::launch(const Args& args) {
  std::string reasons;
  for (const auto& version : usable_versions<Args>()) {
    if (!kernels::runs_on(version.target, device_.major, device_.minor)) continue;
    const std::string refusal = version.refuses == nullptr ? "" : version.refuses(args);
    if (!refusal.empty()) {
      reasons += fmt::format("; {}: {}", version.name, refusal);
      continue;
    }
    const std::size_t bytes =
        version.workspace_bytes == nullptr ? 0 : version.workspace_bytes(args);
    version.launch(args, workspace(typeid(Args), bytes), stream_);
    return;
  }
  throw RunError(fmt::format("no version of an operator takes its arguments ({}){}",
                             typeid(Args).name(), reasons));
}

}  // namespace v4cap::exec
