// Exchanges between the GPUs of this host, measured with a process on each (`calibrate
// --collectives`):
//   all_reduce       NCCL, in a captured graph and launched one by one
//   all_reduce_peer  our own over peer access, for small messages, the same
//   all_gather, reduce_scatter, alltoall  NCCL, launched one by one, as the public tables have them
//   expert_exchange  tokens to the ranks of their experts and back, by sends and receives in a graph
// Times are those of the slowest rank; data is checked before it is timed.
#include <cstdio>

#include "exec/calibrate/family.h"
#include "exec/collectives/exchange_bench.h"
#include "exec/collectives/peer_processes.h"
#include "exec/driver/gpu_error.h"

namespace v4cap::exec::calibrate {
namespace {

constexpr double kEndOfPeersS = 30;

// Rank 0 with all others behind it, for as long as it lives.
class Job {
 public:
  Job(const MeasureContext& context, int ranks)
      : ranks_(ranks),
        id_(Communicator::new_id()),
        peers_(context.peers->program, tasks(context), end_process),
        bench_(*context.device, id_, 0, ranks) {}
  ~Job() {
    try {
      peers_.may_end();
      bench_.stop();
      peers_.finish(kEndOfPeersS);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "the other ranks: %s\n", error.what());
    }
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  int ranks() const { return ranks_; }
  Measurement measure(const ExchangeTask& task) { return bench_.measure(task); }

 private:
  std::vector<PeerTask> tasks(const MeasureContext& context) const {
    std::vector<PeerTask> tasks;
    for (int rank = 1; rank < ranks_; ++rank) {
      tasks.push_back(context.peers->task({.rank = rank, .ranks = ranks_, .id = id_}));
    }
    return tasks;
  }

  int ranks_;
  std::string id_;
  PeerProcesses peers_;
  ExchangeBench bench_;
};

std::string nccl_and_version() {
  try {
    return "NCCL " + Communicator::version();
  } catch (const RunError&) {  // whoever measures will be told
    return "NCCL";
  }
}

std::vector<int> gpu_counts(const Rank& rank) {
  std::vector<int> counts;
  for (int gpus = 2; gpus <= rank.gpus; gpus *= 2) counts.push_back(gpus);
  return counts;
}

class ExchangeFamily : public Family {
 public:
  Measurement measure(MeasureContext& context, const Point& point) override {
    V4CAP_CHECK(context.peers != nullptr && context.device != nullptr, "no ranks to exchange with");
    const int ranks = std::stoi(point.keys.front());
    if (job_ == nullptr || job_->ranks() != ranks) {
      job_ = nullptr;
      job_ = std::make_unique<Job>(context, ranks);
    }
    return job_->measure(task_of_point(context.rank, point));
  }
  void serve(MeasureContext& context, const PeerSeat& seat) override {
    ExchangeBench(*context.device, seat.id, seat.rank, seat.ranks).serve();
  }
  FamilyCost cost() const override { return {8, 0.06}; }

 protected:
  virtual ExchangeTask task_of_point(const Rank& rank, const Point& point) const = 0;

 private:
  std::unique_ptr<Job> job_;
};

// ---- Tensors ----

struct Collective {
  const char* family;
  Exchange what;
  bool with_mode;  // a key: "graph", "eager"; without it eager
  std::int64_t most_bytes;
  const char* covers;
  const char* note;
};

constexpr std::int64_t kMostBytes = std::int64_t{1} << 28;

constexpr Collective kCollectives[] = {
    {"all_reduce", Exchange::all_reduce, true, kMostBytes, "all_reduce",
     "bf16 within one node; bytes of the tensor that each GPU has; the slowest rank"},
    {"all_reduce_peer", Exchange::peer_sums, true, static_cast<std::int64_t>(kPeerBytes),
     "all_reduce",
     "bf16 within one node by peer access, in one step; bytes of the tensor that each GPU has; the "
     "slowest rank"},
    {"all_gather", Exchange::all_gather, false, kMostBytes, "all_gather",
     "within one node, eager; bytes of all that is gathered; the slowest rank"},
    {"reduce_scatter", Exchange::reduce_scatter, false, kMostBytes, "reduce_scatter",
     "bf16 within one node, eager; bytes of the tensor before it is scattered; the slowest rank"},
    {"alltoall", Exchange::all_to_all, false, kMostBytes, "alltoall",
     "within one node, eager; bytes of the tensor that each GPU has; the slowest rank"},
};

class CollectiveFamily final : public ExchangeFamily {
 public:
  explicit CollectiveFamily(const Collective& collective) : c_(collective) {}

  ProfileFamily describe() const override {
    ProfileFamily f;
    f.name = c_.family;
    f.grain = ProfileGrain::kernel;
    f.kernel_source = c_.what == Exchange::peer_sums ? "v4exec" : nccl_and_version();
    f.keys = {"gpus"};
    if (c_.with_mode) f.keys.emplace_back("mode");
    f.axes = {{"bytes", "bytes"}};
    f.covers = {c_.covers};
    f.note = c_.note;
    return f;
  }

  std::vector<Point> points(const Rank& rank, GridSize size) const override {
    std::vector<Point> all;
    const int factor = size == GridSize::full ? 2 : 8;
    for (const int gpus : gpu_counts(rank)) {
      for (const char* mode : {"graph", "eager"}) {
        if (!c_.with_mode && mode == std::string_view("graph")) continue;
        std::vector<std::string> keys{std::to_string(gpus)};
        if (c_.with_mode) keys.emplace_back(mode);
        const bool cut = c_.what != Exchange::all_reduce && c_.what != Exchange::peer_sums;
        for (std::int64_t bytes = cut ? 2 * gpus : 2; bytes <= c_.most_bytes; bytes *= factor) {
          all.push_back({keys, {static_cast<double>(bytes)}});
        }
      }
    }
    return all;
  }

 private:
  ExchangeTask task_of_point(const Rank&, const Point& point) const override {
    return {.what = c_.what,
            .graph = c_.with_mode && point.keys[1] == "graph",
            .bytes = static_cast<std::int64_t>(point.at[0])};
  }

  const Collective& c_;
};

// ---- Tokens and their experts ----

// Of a token: FP8 with a scale for each 128 values to the experts, bf16 back.
constexpr std::int64_t kScaleBytes = 4, kValuesOfScale = 128, kBf16Bytes = 2;

class ExpertExchange final : public ExchangeFamily {
 public:
  ProfileFamily describe() const override {
    ProfileFamily f;
    f.name = "expert_exchange";
    f.grain = ProfileGrain::kernel;
    f.kernel_source = nccl_and_version();
    f.keys = {"gpus", "model", "part", "routing"};
    f.axes = {{"tokens", "tokens"}};
    f.covers = {"expert_dispatch", "expert_combine"};
    f.note =
        "sends and receives in a captured graph; tokens of each rank; FP8 with scales out, bf16 "
        "back; "
        "skewed: experts drawn by a power law of 1.01; packing is not in it; the slowest rank";
    return f;
  }

  std::vector<Point> points(const Rank& rank, GridSize size) const override {
    std::vector<Point> all;
    const int factor = size == GridSize::full ? 2 : 8;
    for (const int gpus : gpu_counts(rank)) {
      if (rank.model.moe.routed_experts % gpus != 0) continue;
      for (const char* part : {"dispatch", "combine"}) {
        for (const char* routing : {"balanced", "skewed"}) {
          for (int tokens = 1; tokens <= 8192; tokens *= factor) {
            all.push_back({{std::to_string(gpus), rank.model.measured_as, part, routing},
                           {static_cast<double>(tokens)}});
          }
        }
      }
    }
    return all;
  }

 private:
  ExchangeTask task_of_point(const Rank& rank, const Point& point) const override {
    const bool dispatch = point.keys[2] == "dispatch";
    const std::int64_t hidden = rank.model.hidden;
    return {.what = dispatch ? Exchange::dispatch : Exchange::combine,
            .graph = true,
            .tokens = static_cast<std::int64_t>(point.at[0]),
            .token_bytes =
                dispatch ? hidden + kScaleBytes * hidden / kValuesOfScale : kBf16Bytes * hidden,
            .top_k = rank.model.moe.active_experts,
            .experts = rank.model.moe.routed_experts,
            .routing = point.keys[3] == "skewed" ? Routing::skewed : Routing::balanced};
  }
};

template <std::size_t i>
const bool registered_collective = FamilyRegistry::add(kCollectives[i].family, [] {
  return std::make_unique<CollectiveFamily>(kCollectives[i]);
});
[[maybe_unused]] const bool registered =
    registered_collective<0> && registered_collective<1> && registered_collective<2> &&
    registered_collective<3> && registered_collective<4> &&
    FamilyRegistry::add("expert_exchange", [] { return std::make_unique<ExpertExchange>(); });

}  // namespace
}  // namespace v4cap::exec::calibrate
