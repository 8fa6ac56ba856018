#include "exec/timing.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "kernels/cuda/check.h"

namespace v4cap::exec {
namespace {

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

double elapsed_us(const Event& begin, const Event& end) {
  float ms = 0;
  V4CAP_CUDA(cudaEventElapsedTime(&ms, begin.get(), end.get()));
  return 1000.0 * static_cast<double>(ms);
}

Spread spread_of(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const auto at = [&](double share) {
    const double place = share * static_cast<double>(samples.size() - 1);
    return samples[static_cast<std::size_t>(std::lround(place))];
  };
  return {at(0.5), at(0.1), at(0.9), static_cast<int>(samples.size()), 0};
}

int samples_for(double seconds, double one_us) {
  return static_cast<int>(std::clamp(seconds * 1e6 / std::max(one_us, 1.0), 5.0, 50.0));
}

}  // namespace

Stopwatch::Stopwatch(const Device& device)
    : device_(device),
      flush_(static_cast<std::size_t>(
          std::max<std::int64_t>(4 * device.l2_bytes, std::int64_t{256} << 20))) {
  V4CAP_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  V4CAP_CUDA(cudaMemsetAsync(flush_.get(), 1, flush_.bytes(), stream_));
}

Stopwatch::~Stopwatch() {
  cudaStreamDestroy(stream_);
}

Spread Stopwatch::cold(const std::function<void(kernels::Stream)>& launch, int samples) {
  std::vector<double> times;
  Event begin, end;
  for (int i = 0; i < samples; ++i) {
    // This runs for long enough that the launches behind it are queued when it ends.
    read_through(flush_.get(), flush_.bytes(), stream_);
    V4CAP_CUDA(cudaEventRecord(begin.get(), stream_));
    launch(stream_);
    V4CAP_CUDA(cudaEventRecord(end.get(), stream_));
    V4CAP_CUDA(cudaEventSynchronize(end.get()));
    times.push_back(elapsed_us(begin, end));
  }
  Spread spread = spread_of(times);
  spread.sm_mhz = read_clocks(device_).sm_mhz;
  return spread;
}

Spread Stopwatch::warm(const std::function<void(kernels::Stream)>& launch, double one_us,
                       double seconds) {
  // A graph of about a millisecond, so that its own launch does not show.
  const int repeats = static_cast<int>(std::clamp(1000.0 / std::max(one_us, 1.0), 1.0, 200.0));
  cudaGraph_t graph = nullptr;
  V4CAP_CUDA(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < repeats; ++i) launch(stream_);
  V4CAP_CUDA(cudaStreamEndCapture(stream_, &graph));
  cudaGraphExec_t replay = nullptr;
  V4CAP_CUDA(cudaGraphInstantiate(&replay, graph, 0));
  const int samples = samples_for(seconds, one_us * repeats);
  Event begin, end;
  std::vector<double> times;
  for (int i = -1; i < samples; ++i) {  // the first replay warms up
    V4CAP_CUDA(cudaEventRecord(begin.get(), stream_));
    V4CAP_CUDA(cudaGraphLaunch(replay, stream_));
    V4CAP_CUDA(cudaEventRecord(end.get(), stream_));
    V4CAP_CUDA(cudaEventSynchronize(end.get()));
    if (i >= 0) times.push_back(elapsed_us(begin, end) / repeats);
  }
  V4CAP_CUDA(cudaGraphExecDestroy(replay));
  V4CAP_CUDA(cudaGraphDestroy(graph));
  Spread spread = spread_of(times);
  spread.sm_mhz = read_clocks(device_).sm_mhz;
  return spread;
}

void Stopwatch::warm_up(double seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end) {
    read_through(flush_.get(), flush_.bytes(), stream_);
    V4CAP_CUDA(cudaStreamSynchronize(stream_));
  }
}

double Stopwatch::prepare(const std::function<void(kernels::Stream)>& launch) {
  warm_up(0.01);
  cold(launch, 2);
  return cold(launch, 3).median_us;
}

Times Stopwatch::measure(const std::function<void(kernels::Stream)>& launch, double seconds) {
  const double one_us = prepare(launch);
  Times times;
  times.cold = cold(launch, samples_for(seconds, one_us));
  times.warm = warm(launch, one_us, seconds);
  return times;
}

Spread Stopwatch::measure_cold(const std::function<void(kernels::Stream)>& launch, double seconds) {
  const double one_us = prepare(launch);
  return cold(launch, samples_for(seconds, one_us));
}

Spread Stopwatch::measure_warm(const std::function<void(kernels::Stream)>& launch, double seconds) {
  return warm(launch, prepare(launch), seconds);
}

}  // namespace v4cap::exec
