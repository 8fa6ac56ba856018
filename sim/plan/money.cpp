#include "sim/plan/money.h"

#include <limits>

namespace v4cap {

namespace {

constexpr double kMillion = 1e6;
constexpr double kSecondsPerHour = 3600;

double count(Tokens tokens) {
  return static_cast<double>(tokens.value);
}

// One figure of every seed; nothing unless all have it.
class Figure {
 public:
  void add(double amount, double per) {
    if (per > 0) {
      values_.push_back(amount / per);
    } else {
      missing_ = true;
    }
  }
  std::optional<SeedInterval> interval() const {
    if (missing_ || values_.empty()) return std::nullopt;
    return interval_of(values_);
  }

 private:
  std::vector<double> values_;
  bool missing_ = false;
};

}  // namespace

const char* task_name(const SampleRule& sample, const Trial& trial) {
  if (sample.barrier) return "trajectory";
  return trial.sessions < static_cast<double>(trial.requests) ? "session" : "request";
}

// A trace without sessions has as many of them as requests.
double task_cost(const Trial& trial, double gpu_hour) {
  if (!(trial.sessions > 0)) return std::numeric_limits<double>::infinity();
  return gpu_hour * static_cast<double>(trial.gpus) * trial.window_s / kSecondsPerHour /
         trial.sessions;
}

MoneyAnswer count_money(const std::vector<Trial>& trials, const PriceTable* prices,
                        const GpuPrice* gpu, std::int64_t replicas, double replica_load,
                        double held) {
  MoneyAnswer out;
  out.unit = prices != nullptr ? prices->currency : "GPU-hours";
  out.gpu_hour = gpu != nullptr ? gpu->per_hour : 1;
  out.replicas = replicas;
  if (trials.empty()) return out;
  out.replica_hour = out.gpu_hour * static_cast<double>(trials.front().gpus);
  out.hour = out.replica_hour * static_cast<double>(replicas);
  out.spare_hour = out.hour + out.replica_hour;
  if (replicas > 1) {
    out.load_after_loss =
        replica_load * static_cast<double>(replicas) / static_cast<double>(replicas - 1);
    out.holds_after_loss = *out.load_after_loss <= held;
  }

  Figure input, cached, output, all, session, request, revenue, margin;
  for (const Trial& t : trials) {
    const double hours = t.window_s / kSecondsPerHour;
    const double cost = out.replica_hour * hours;
    const double steps_s = t.prefill_s + t.decode_s;
    const double prefill_cost = steps_s > 0 ? cost * t.prefill_s / steps_s : 0;
    const double worked = count(t.computed + t.rebuilt);
    input.add(kMillion * prefill_cost, worked);
    cached.add(worked > 0 ? kMillion * prefill_cost * count(t.rebuilt) / worked : 0, count(t.hit));
    output.add(kMillion * (cost - prefill_cost), count(t.output));
    all.add(kMillion * cost, count(t.hit + t.computed + t.output));
    session.add(cost, t.sessions);
    request.add(cost, static_cast<double>(t.requests));
    if (prices == nullptr || !prices->tokens) continue;
    const double earned =
        (count(t.computed) * prices->tokens->input + count(t.hit) * prices->tokens->cached +
         count(t.output) * prices->tokens->output) /
        kMillion;
    revenue.add(earned * static_cast<double>(replicas), hours);
    margin.add((earned - cost) * static_cast<double>(replicas), hours);
  }
  out.input = input.interval();
  out.cached = cached.interval();
  out.output = output.interval();
  out.all_tokens = all.interval();
  out.session = session.interval();
  out.request = request.interval();
  out.revenue_hour = revenue.interval();
  out.margin_hour = margin.interval();
  return out;
}

}  // namespace v4cap
