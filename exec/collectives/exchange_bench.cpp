#include "exec/collectives/exchange_bench.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <cstring>

#include "exec/driver/gpu_error.h"
#include "exec/driver/wait.h"
#include "kernels/cuda/check.h"

namespace v4cap::exec {
namespace {

constexpr std::int64_t kBf16Bytes = 2;
constexpr std::size_t kMostSamples = 64;

class Event {
 public:
  Event() { V4CAP_CUDA(cudaEventCreate(&event_)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

// Launches of a stream, captured once.
class Graph {
 public:
  template <class Launches>
  Graph(cudaStream_t stream, const Launches& launches) {
    // Others of this process (NCCL's own threads) may call the driver meanwhile.
    V4CAP_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    launches();
    cudaGraph_t graph = nullptr;
    V4CAP_CUDA(cudaStreamEndCapture(stream, &graph));
    V4CAP_CUDA(cudaGraphInstantiate(&made_, graph, 0));
    V4CAP_CUDA(cudaGraphDestroy(graph));
  }
  ~Graph() { cudaGraphExecDestroy(made_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  void launch(cudaStream_t stream) const { V4CAP_CUDA(cudaGraphLaunch(made_, stream)); }

 private:
  cudaGraphExec_t made_ = nullptr;
};

bool is_of_tokens(Exchange what) {
  return what == Exchange::dispatch || what == Exchange::combine;
}

std::int64_t elements_of(std::size_t bytes) {
  return static_cast<std::int64_t>(bytes) / kBf16Bytes;
}

}  // namespace

// The regions of peer sums: this rank's own, and those of the others through the driver.
struct ExchangeBench::Shared {
  DeviceMemory own, epochs;
  PeerView view;

  Shared(Communicator& ranks, const Device& device, kernels::Stream stream)
      : own(PeerRegion::kBytes, "memory that peers read"),
        epochs(sizeof(std::uint32_t) * kPeerBlocks, "counters of peer sums") {
    if (ranks.ranks() > kMostPeers) {
      throw calibrate::PointRefused("too_many_ranks", "peer sums of more than 8 ranks");
    }
    V4CAP_CUDA(cudaMemset(own.get(), 0, PeerRegion::kBytes));
    V4CAP_CUDA(cudaMemset(epochs.get(), 0, sizeof(std::uint32_t) * kPeerBlocks));
    V4CAP_CUDA(cudaDeviceSynchronize());
    cudaIpcMemHandle_t handle;
    V4CAP_CUDA(cudaIpcGetMemHandle(&handle, own.get()));
    const auto count = static_cast<std::size_t>(ranks.ranks());
    DeviceMemory mine(sizeof handle), all(sizeof handle * count);
    V4CAP_CUDA(cudaMemcpy(mine.get(), &handle, sizeof handle, cudaMemcpyHostToDevice));
    ranks.all_gather(mine.get(), all.get(), sizeof handle, stream);
    wait_for(stream, "the exchange of memory handles");
    std::vector<cudaIpcMemHandle_t> handles(count);
    V4CAP_CUDA(
        cudaMemcpy(handles.data(), all.get(), sizeof handle * count, cudaMemcpyDeviceToHost));
    view.rank = ranks.rank();
    view.ranks = ranks.ranks();
    view.epochs = static_cast<std::uint32_t*>(epochs.get());
    for (int r = 0; r < ranks.ranks(); ++r) {
      void*& region = view.regions[r];
      if (r == ranks.rank()) {
        region = own.get();
      } else {
        V4CAP_CUDA(cudaIpcOpenMemHandle(&region, handles[static_cast<std::size_t>(r)],
                                        cudaIpcMemLazyEnablePeerAccess));
      }
    }
    (void)device;
  }
  ~Shared() {
    for (int r = 0; r < view.ranks; ++r) {
      if (r != view.rank && view.regions[r] != nullptr) cudaIpcCloseMemHandle(view.regions[r]);
    }
  }
};

ExchangeBench::ExchangeBench(const Device& device, const std::string& id, int rank, int ranks)
    : device_(device),
      ranks_(id, rank, ranks),
      numbers_(sizeof(TaskNumbers), "a task"),
      times_(kMostSamples * sizeof(double), "times"),
      wrong_(sizeof(std::int64_t), "a count") {
  V4CAP_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
}

ExchangeBench::~ExchangeBench() {
  cudaStreamDestroy(stream_);
}

void ExchangeBench::wait(const char* what) {
  wait_for(stream_, what);
}

ExchangeTask ExchangeBench::agree(const ExchangeTask& task) {
  TaskNumbers numbers = numbers_of(task);
  auto* data = static_cast<std::int64_t*>(numbers_.get());
  V4CAP_CUDA(
      cudaMemcpyAsync(data, numbers.data(), sizeof numbers, cudaMemcpyHostToDevice, stream_));
  ranks_.broadcast(data, numbers.size(), stream_);
  V4CAP_CUDA(
      cudaMemcpyAsync(numbers.data(), data, sizeof numbers, cudaMemcpyDeviceToHost, stream_));
  // Ranks may wait for each other while one sets up; for as long as rank 0 is told nothing, for ever.
  V4CAP_CUDA(cudaStreamSynchronize(stream_));
  return task_of(numbers);
}

void ExchangeBench::allocate(const ExchangeTask& task) {
  const std::size_t in = in_bytes(task, ranks_.rank(), ranks_.ranks());
  const std::size_t out = out_bytes(task, ranks_.rank(), ranks_.ranks());
  if (in > in_.bytes()) in_ = DeviceMemory(in, "what is sent");
  if (out > out_.bytes()) out_ = DeviceMemory(out, "what is received");
  if (task.what == Exchange::all_to_all || is_of_tokens(task.what)) {
    sizes_ = sizes_of(task, ranks_.rank(), ranks_.ranks());
  }
  if (task.what == Exchange::peer_sums && shared_ == nullptr) {
    shared_ = std::make_unique<Shared>(ranks_, device_, stream_);
  }
}

// Elements are known by their place in the whole tensor and by the rank that sent them; what goes to
// one rank begins at a place of its own.
void ExchangeBench::fill(const ExchangeTask& task) {
  V4CAP_CUDA(cudaMemsetAsync(out_.get(), 0xff, out_.bytes(), stream_));
  if (task.what != Exchange::all_to_all && !is_of_tokens(task.what)) {
    const std::size_t in = in_bytes(task, ranks_.rank(), ranks_.ranks());
    fill_elements(in_.get(), elements_of(in), 0, ranks_.rank(), stream_);
    return;
  }
  auto* at = static_cast<char*>(in_.get());
  for (int to = 0; to < ranks_.ranks(); ++to) {
    const std::size_t bytes = sizes_.to[static_cast<std::size_t>(to)];
    fill_elements(at, elements_of(bytes), to, ranks_.rank(), stream_);
    at += bytes;
  }
}

void ExchangeBench::launch(const ExchangeTask& task) {
  const auto bytes = static_cast<std::size_t>(task.bytes);
  const auto elements = bytes / kBf16Bytes;
  const auto ranks = static_cast<std::size_t>(ranks_.ranks());
  switch (task.what) {
    case Exchange::all_reduce:
      return ranks_.all_reduce(in_.get(), out_.get(), elements, stream_);
    case Exchange::peer_sums:
      return peer_sums(shared_->view, in_.get(), out_.get(), static_cast<std::int64_t>(elements),
                       stream_);
    case Exchange::all_gather:
      return ranks_.all_gather(in_.get(), out_.get(), bytes / ranks, stream_);
    case Exchange::reduce_scatter:
      return ranks_.reduce_scatter(in_.get(), out_.get(), elements / ranks, stream_);
    case Exchange::all_to_all:
    case Exchange::dispatch:
    case Exchange::combine:
      return ranks_.exchange(in_.get(), sizes_.to, out_.get(), sizes_.from, stream_);
    case Exchange::stop:
      break;
  }
  V4CAP_CHECK(false, "an exchange that is none");
}

void ExchangeBench::check(const ExchangeTask& task) {
  auto* wrong = static_cast<std::int64_t*>(wrong_.get());
  V4CAP_CUDA(cudaMemsetAsync(wrong, 0, sizeof *wrong, stream_));
  const std::size_t out = out_bytes(task, ranks_.rank(), ranks_.ranks());
  const int ranks = ranks_.ranks();
  auto* at = static_cast<char*>(out_.get());
  switch (task.what) {
    case Exchange::all_reduce:
    case Exchange::peer_sums:
      count_wrong(at, elements_of(out), 0, 0, ranks, wrong, stream_);
      break;
    case Exchange::reduce_scatter:
      count_wrong(at, elements_of(out), ranks_.rank() * elements_of(out), 0, ranks, wrong, stream_);
      break;
    case Exchange::all_gather:
      for (int r = 0; r < ranks; ++r) {
        const std::int64_t each = elements_of(out) / ranks;
        count_wrong(at + r * each * kBf16Bytes, each, 0, r, r + 1, wrong, stream_);
      }
      break;
    default:
      for (int from = 0; from < ranks; ++from) {
        const std::size_t bytes = sizes_.from[static_cast<std::size_t>(from)];
        count_wrong(at, elements_of(bytes), ranks_.rank(), from, from + 1, wrong, stream_);
        at += bytes;
      }
  }
  std::int64_t found = 0;
  V4CAP_CUDA(cudaMemcpyAsync(&found, wrong, sizeof found, cudaMemcpyDeviceToHost, stream_));
  wait("the check of an exchange");
  if (found > 0) {
    throw RunError("rank " + std::to_string(ranks_.rank()) + " got " + std::to_string(found) +
                       " wrong elements of " + std::to_string(elements_of(out)),
                   error_kind::kCheckFailed);
  }
}

std::vector<double> ExchangeBench::samples(const ExchangeTask& task) {
  const Repeats repeats = repeats_of(task, ranks_.ranks());
  const auto launches = [&] {
    for (int i = 0; i < repeats.launches; ++i) launch(task);
  };
  std::unique_ptr<Graph> graph;
  if (task.graph) graph = std::make_unique<Graph>(stream_, launches);
  const Event begin, end;
  auto* times = static_cast<double*>(times_.get());
  std::vector<double> us;
  for (int i = -2; i < repeats.samples; ++i) {             // the first two warm up
    ranks_.all_reduce(times, 1, Reduction::max, stream_);  // all begin together
    V4CAP_CUDA(cudaEventRecord(begin.get(), stream_));
    if (graph) {
      graph->launch(stream_);
    } else {
      launches();
    }
    V4CAP_CUDA(cudaEventRecord(end.get(), stream_));
    wait("an exchange");
    float ms = 0;
    V4CAP_CUDA(cudaEventElapsedTime(&ms, begin.get(), end.get()));
    if (i >= 0) us.push_back(1e3 * static_cast<double>(ms) / repeats.launches);
  }
  // Of every sample the slowest rank.
  V4CAP_CHECK(us.size() <= kMostSamples, "more samples than there is room for");
  V4CAP_CUDA(cudaMemcpyAsync(times, us.data(), us.size() * sizeof(double), cudaMemcpyHostToDevice,
                             stream_));
  ranks_.all_reduce(times, us.size(), Reduction::max, stream_);
  V4CAP_CUDA(cudaMemcpyAsync(us.data(), times, us.size() * sizeof(double), cudaMemcpyDeviceToHost,
                             stream_));
  wait("times of all ranks");
  return us;
}

std::vector<double> ExchangeBench::perform(const ExchangeTask& task) {
  allocate(task);
  fill(task);
  launch(task);
  wait("an exchange");
  check(task);
  return samples(task);
}

calibrate::Measurement ExchangeBench::measure(const ExchangeTask& task) {
  if (const std::string why = refusal(task, ranks_.ranks()); !why.empty()) {
    throw calibrate::PointRefused("no_such_exchange", why);
  }
  if (task.what == Exchange::peer_sums && static_cast<std::size_t>(task.bytes) > kPeerBytes) {
    throw calibrate::PointRefused(
        "too_large", "peer sums of more than " + std::to_string(kPeerBytes) + " bytes");
  }
  agree(task);
  std::vector<double> us = perform(task);
  std::ranges::sort(us);
  const auto at = [&](double share) {
    return us[static_cast<std::size_t>(share * static_cast<double>(us.size() - 1) + 0.5)];
  };
  return {at(0.5), at(0.1), at(0.9), static_cast<int>(us.size()), read_clocks(device_).sm_mhz};
}

void ExchangeBench::stop() {
  agree({});
}

void ExchangeBench::serve() {
  for (;;) {
    const ExchangeTask task = agree({});
    if (task.what == Exchange::stop) return;
    perform(task);
  }
}

}  // namespace v4cap::exec
