#include "exec/replay/device_performer.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "exec/collectives/communicator.h"
#include "exec/driver/wait.h"
#include "exec/pages/page_book.h"
#include "exec/step/pyramid.h"
#include "exec/step/step_runner.h"
#include "kernels/formats/pages.h"
#include "sim/cluster/run_scenario.h"

namespace v4cap::exec {
namespace {

constexpr std::int32_t kBlock = kernels::kTokensPerPage;

std::int32_t as_int(Tokens tokens) {
  return static_cast<std::int32_t>(tokens.value);
}

// Blocks that nobody names hold what only their request has.
std::int64_t own_key(std::uint32_t request, std::int64_t block) {
  return -1 - (std::int64_t{request} << 20) - block;
}

// Keys of blocks [begin, end) of a request.
std::vector<std::int64_t> keys_of(const LiveRequest& request, std::int64_t begin,
                                  std::int64_t end) {
  std::vector<std::int64_t> keys;
  std::int64_t at = 0;
  for (const KeyRun& run : request.sequence.keys) {
    for (std::int64_t b = std::max(begin, at); b < std::min(end, at + run.count); ++b) {
      keys.push_back(run.first + b - at);
    }
    at += run.count;
  }
  for (std::int64_t b = std::max(begin, at); b < end; ++b) keys.push_back(own_key(request.id, b));
  return keys;
}

class DevicePerformer final : public StepPerformer {
 public:
  DevicePerformer(const Scenario& scenario, Replica& replica, const Device& device,
                  const RankOfRun& rank)
      : ranks_(rank.ranks > 1 ? std::make_unique<Communicator>(rank.id, rank.rank, rank.ranks)
                              : nullptr),
        engine_(replica.rank(0)),
        full_(engine_.cache().policy().stores_window_of_every_token()),
        output_ends_(engine_.cache().policy().keeps_output_end()),
        pyramid_(scenario.kv_cache.swa_policy == "recompute=pyramid"),
        book_(sizes_of(scenario, engine_)),
        runner_(device, rank_of(scenario, rank.rank), options_of(scenario)),
        at_(static_cast<std::size_t>(book_.sizes().slots)) {
    replica.observe(0, &book_);
    runner_.warm(book_.sizes().slots, runner_.options().max_context);
  }

  void perform(const StepPlan& plan) override {
    ++step_;
    keep_output_ends();
    admit();
    decodes_.clear();
    prefills_.clear();
    saves_.clear();
    keys_.clear();
    keys_.reserve(plan.pieces.size());
    for (std::size_t i = 0; i < plan.pieces.size(); ++i) {
      const StepPiece& piece = plan.pieces[i];
      if (piece.kind == PieceKind::decode) {
        decodes_.push_back(decode(piece));
      } else if (piece.kind == PieceKind::rebuild && pyramid_) {
        rebuild_pyramid(piece);
      } else {
        // A rebuild that is complete goes on with the prompt in the same step.
        StepPiece whole = piece;
        if (piece.kind == PieceKind::rebuild && i + 1 < plan.pieces.size() &&
            plan.pieces[i + 1].request == piece.request) {
          ++i;
          whole.tokens += plan.pieces[i].tokens;
          whole.emits_token = plan.pieces[i].emits_token;
        }
        prefills_.push_back(prefill(whole));
      }
    }
    runner_.decode(decodes_);
    runner_.prefill(prefills_);
    runner_.save_points(saves_);
    wait_for(runner_.stream(), "step " + std::to_string(step_) + ", decode of " +
                                   std::to_string(decodes_.size()) + " and prefill of " +
                                   std::to_string(prefills_.size()) + " sequences");
    runner_.wait();
  }

 private:
  static PageBookSizes sizes_of(const Scenario& scenario, const Engine& engine) {
    const EngineConfig& e = scenario.engine;
    return page_book_sizes(engine.cache().layout(), engine.cache().policy(), engine.cache().block(),
                           {e.max_running, e.step_tokens, e.max_context, e.draft_tokens});
  }

  static Rank rank_of(const Scenario& scenario, int index) {
    const Deployment& d = scenario.deployment;
    return make_rank(scenario.model, d.tensor_parallel, d.expert_parallel, index);
  }

  RunnerOptions options_of(const Scenario& scenario) const {
    const PageBookSizes& sizes = book_.sizes();
    RunnerOptions options;
    options.pools.pages = sizes.pages;
    options.pools.slots = sizes.slots;
    // Behind the engine's points, one for each slot: what is set aside in case an output ends there.
    options.pools.points = sizes.points + (output_ends_ ? sizes.slots : 0);
    options.pools.windows_in_pages = full_;
    options.pools.keys = scenario.kv_cache.indexer == IndexerFormat::fp4 ? kernels::KeyFormat::fp4
                                                                         : kernels::KeyFormat::fp8;
    // No sequence is longer than all pages.
    options.max_context = static_cast<std::int32_t>(std::min<std::int64_t>(
        scenario.engine.max_context.value, std::int64_t{sizes.pages} * kBlock));
    options.step_tokens = as_int(scenario.engine.step_tokens);
    if (pyramid_) {
      options.step_tokens =
          std::max(options.step_tokens,
                   static_cast<std::int32_t>(pyramid_span(scenario.model.layer_count())));
    }
    // Ranks are made of the same seed: what all of them have, such as the router, is the same.
    options.seed = scenario.seed;
    if (ranks_ != nullptr) {
      options.sum = [ranks = ranks_.get()](kernels::Bf16* data, std::int64_t elements,
                                           kernels::Stream stream) {
        ranks->all_reduce(data, data, static_cast<std::size_t>(elements), stream);
      };
    }
    return options;
  }

  // What the last step decided after it had run.
  void keep_output_ends() {
    std::vector<StepRunner::SlotSave> saves;
    for (const PointCopy& copy : book_.take_point_copies()) {
      const std::int32_t position = as_int(copy.position);
      if (at_[static_cast<std::size_t>(copy.slot)] == position) {
        saves.push_back({copy.slot, position, copy.point});
        continue;
      }
      // The state has moved on: it was set aside, and takes its way through the slot that is
      // nobody's.
      const std::int32_t nobody = runner_.pools().dummy_slot();
      const Admission back{.slot = nobody, .position = position, .point = aside(copy.slot)};
      runner_.admit(std::span(&back, 1));
      const StepRunner::SlotSave save{nobody, position, copy.point};
      runner_.save_points(std::span(&save, 1));
    }
    runner_.save_points(saves);
  }

  void admit() {
    std::vector<Admission> admissions;
    for (const Admitted& a : book_.take_admitted()) {
      Admission one{.slot = a.slot, .position = as_int(a.position), .point = a.point};
      if (full_ && one.position > 0) {
        one.last_page = book_.pages(a.request)[static_cast<std::size_t>(one.position / kBlock - 1)];
      }
      admissions.push_back(one);
    }
    runner_.admit(admissions);
  }

  StepSequence sequence(const StepPiece& piece) {
    StepSequence q{.slot = book_.slot(piece.request),
                   .past = as_int(piece.past),
                   .tokens = as_int(piece.tokens),
                   .pages = book_.pages(piece.request),
                   .stored_from = static_cast<std::int32_t>(book_.shared(piece.request)),
                   .emits = piece.emits_token};
    at_[static_cast<std::size_t>(q.slot)] = q.past + q.tokens;
    return q;
  }

  // What comes next is the trace's to say, as it is when output is computed again: tokens that random
  // weights prefer repeat themselves, and would go to fewer experts than text does.
  StepSequence decode(const StepPiece& piece) {
    StepSequence q = sequence(piece);
    const std::int32_t end = q.past + q.tokens;
    const std::int32_t block = q.past / kBlock;
    keys_.push_back(keys_of(engine_.request(piece.request), block, block + 1));
    q.keys = keys_.back();
    for (const PointCopy& copy :
         book_.points_within(piece.request, piece.past, piece.past + piece.tokens)) {
      saves_.push_back({q.slot, end, copy.point});
    }
    if (full_ && end % kBlock == 0) {
      saves_.push_back({q.slot, end, q.pages[static_cast<std::size_t>(end / kBlock - 1)]});
    }
    return q;
  }

  StepSequence prefill(const StepPiece& piece) {
    StepSequence q = sequence(piece);
    const std::int32_t end = q.past + q.tokens;
    const LiveRequest& request = engine_.request(piece.request);
    keys_.push_back(keys_of(request, q.past / kBlock, (end - 1) / kBlock + 1));
    q.keys = keys_.back();
    for (const PointCopy& copy :
         book_.points_within(piece.request, piece.past, piece.past + piece.tokens)) {
      q.saves.push_back({as_int(copy.position), copy.point});
    }
    if (full_) {
      for (std::int32_t b = q.past / kBlock + 1; b * kBlock <= end; ++b) {
        q.saves.push_back({b * kBlock, q.pages[static_cast<std::size_t>(b - 1)]});
      }
    }
    // Output that is computed again after a preemption may end in a point at its last block.
    const std::int64_t last = std::min<std::int64_t>(end / kBlock, request.sequence.indexable);
    const auto boundary = static_cast<std::int32_t>(last * kBlock);
    if (output_ends_ && boundary > q.past && boundary < end &&
        boundary > as_int(request.sequence.points.prompt_end)) {
      q.saves.push_back({boundary, aside(q.slot)});
    }
    return q;
  }

  // Plan tokens of a pyramid are layer-tokens / L.
  void rebuild_pyramid(const StepPiece& piece) {
    const LiveRequest& request = engine_.request(piece.request);
    const std::int64_t layers = runner_.rank().layers();
    const std::int64_t done = pyramid_units(layers) - request.rebuild_left.value;
    const std::int64_t from = pyramid_positions(layers, done);
    const std::int64_t to = pyramid_positions(layers, done + piece.tokens.value);
    if (to == from) return;
    StepSequence q = sequence(piece);
    const std::int32_t end = as_int(request.computed);
    q.past = end - static_cast<std::int32_t>(pyramid_span(layers) - from);
    q.tokens = static_cast<std::int32_t>(to - from);
    q.emits = false;
    keys_.push_back(keys_of(request, q.past / kBlock, (q.past + q.tokens - 1) / kBlock + 1));
    q.keys = keys_.back();
    at_[static_cast<std::size_t>(q.slot)] = q.past + q.tokens;
    runner_.rebuild_pyramid(q, end);
  }

  std::int32_t aside(std::int32_t slot) const { return book_.sizes().points + slot; }

  std::unique_ptr<Communicator> ranks_;  // null: one rank stands for all
  const Engine& engine_;
  bool full_, output_ends_, pyramid_;
  PageBook book_;
  StepRunner runner_;
  std::vector<std::int32_t> at_;  // positions that slots have computed
  std::vector<StepSequence> decodes_, prefills_;
  std::vector<StepRunner::SlotSave> saves_;
  std::vector<std::vector<std::int64_t>> keys_;
  std::int64_t step_ = 0;
};

}  // namespace

std::unique_ptr<StepPerformer> make_device_performer(const Scenario& scenario, Replica& replica,
                                                     const Device& device, const RankOfRun& rank) {
  return std::make_unique<DevicePerformer>(scenario, replica, device, rank);
}

std::string new_run_id() {
  return Communicator::new_id();
}

}  // namespace v4cap::exec
