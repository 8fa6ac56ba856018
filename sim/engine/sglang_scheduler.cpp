// Scheduler `sglang`: prefill first, admission by expected need, retraction (SGLang 0.5:
// managers/scheduler.py, schedule_policy.py, schedule_batch.py).
//
//   1. A step is prefill only while an unfinished prompt exists or a waiting request can be
//      admitted: decodes stall. With mixed chunks they run beside it, out of the same chunk.
//      Otherwise all decoding requests get their next token, whatever the chunk.
//   2. The chunk goes to the unfinished prompt, then to waiting requests in order. Each is charged
//      in whole blocks; the last one that does not fit is cut at a block's end, but (rebuild_whole)
//      not within what it rebuilds.
//   3. A waiting request is taken while what it needs (its prompt, and its output up to a clip) fits
//      beside what runs and what that is expected to need: its remaining output, clipped, times a
//      ratio that falls with every decode step and is set anew by a retraction.
//   4. Whoever is refused for memory or the running cap marks the rank full: nobody else is tried
//      until a running request has ended or was retracted.
//   5. When decodes run out of memory, those with the fewest generated tokens (the longest prompt
//      of equals) are retracted until the others fit.
#include <algorithm>
#include <cmath>
#include <optional>

#include "sim/engine/scheduler.h"
#include "sim/engine/scheduler_traits.h"

namespace v4cap {

namespace {

const std::string kName = "sglang";

// SGLang's constants, from scenarios/engines/sglang.yaml.
struct Numbers {
  Tokens max_prefill;    // charged in one batch before it takes no further request
  Tokens clip;           // of a request's remaining output that is expected at most
  double ratio = 0;      // of it that running requests are expected to use, at first
  double ratio_min = 0;  // and in the end
  double ratio_decay = 0;
  Tokens retract_ahead;  // that a retraction expects of each running request beside what it has
  bool rebuild_whole = true;  // a rebuild is not cut where a step can hold it

  explicit Numbers(const SchedulerParameters& parameters) {
    const auto option = [&](const std::string& name) {
      const auto it = parameters.options.find(name);
      V4CAP_CHECK(it != parameters.options.end(), "scheduler sglang was not told " + name);
      return it->second;
    };
    const auto tokens = [&](const std::string& name) { return Tokens{std::llround(option(name))}; };
    max_prefill = tokens("max_prefill_tokens");
    clip = tokens("clip_max_new_tokens");
    double conservativeness = option("conservativeness");
    if (parameters.attention_ranks > 1) conservativeness *= option("conservativeness_of_ranks");
    ratio = std::min(option("new_token_ratio") * conservativeness, 1.0);
    ratio_min = ratio * option("new_token_ratio_least");
    ratio_decay = (ratio - ratio_min) / option("new_token_ratio_decay_steps");
    retract_ahead = tokens("retract_decode_steps");
    rebuild_whole = option("rebuild_whole") != 0;
  }
};

class SglangScheduler final : public SchedulerRules {
 public:
  explicit SglangScheduler(const SchedulerParameters& parameters)
      : numbers_(parameters), mixed_(parameters.mixed_chunk), ratio_(numbers_.ratio) {}

  void plan(Batch& batch, SimTime now) override {
    const bool nothing_runs = batch.running().empty();
    full_ = is_full(batch);
    // An idle server forgets what it learned. It was idle when the oldest request has just come to
    // it, which is later than its client sent it where a host reads it first.
    if (nothing_runs && !batch.waiting().empty() &&
        batch.request(batch.waiting().front()).submitted == now) {
      ratio_ = numbers_.ratio;
    }
    if (mixed_) {
      const bool decoded = batch.decode_allowed() && decode_all(batch);
      if (!prefill(batch, now) && decoded) decay();
    } else if (!prefill(batch, now) && batch.decode_allowed() && decode_all(batch)) {
      decay();
    }
    running_before_ = batch.running().size();
  }

  bool repeats(bool anyone_waits) const override { return !anyone_waits || full_; }
  void repeated(std::int64_t times) override {
    for (; times > 0 && ratio_ > numbers_.ratio_min; --times) decay();
  }

  void restarted() override {
    ratio_ = numbers_.ratio;
    unfinished_.reset();
    full_ = false;
    running_before_ = 0;
  }

  bool wants_prefill(const Batch& batch) const override {
    if (unfinished_) return true;
    return !batch.waiting().empty() && !is_full(batch) && below_cap(batch);
  }

 private:
  // What one prefill batch may still take.
  struct Room {
    Tokens chunk;     // that are left of it
    Tokens input;     // that are left of max_prefill_tokens
    Tokens expected;  // output that running and taken requests are expected to need
    std::int64_t taken = 0;
  };

  static bool below_cap(const Batch& batch) {
    return static_cast<std::int64_t>(batch.running().size()) < batch.limits().max_running;
  }

  // Still full as at the last step: nobody has ended since.
  bool is_full(const Batch& batch) const {
    return full_ && !batch.running().empty() && batch.running().size() >= running_before_;
  }

  static bool decoding(const Batch& batch, RequestIndex r) {
    return batch.request(r).state == RequestState::decoding;
  }

  Tokens expected_output(const LiveRequest& request) const {
    return std::min(request.output - request.generated, numbers_.clip);
  }

  Tokens expected_of_running(const Batch& batch) const {
    Tokens sum;
    for (const RequestIndex r : batch.running()) {
      if (decoding(batch, r)) sum += expected_output(batch.request(r));
    }
    return Tokens{static_cast<std::int64_t>(std::floor(static_cast<double>(sum.value) * ratio_))};
  }

  void decay() { ratio_ = std::max(ratio_ - numbers_.ratio_decay, numbers_.ratio_min); }

  // True when the batch has prompt tokens now. Says why requests still wait.
  bool prefill(Batch& batch, SimTime now) {
    const Tokens decodes = batch.limits().step_tokens - batch.budget();
    Room room{batch.budget(), numbers_.max_prefill - decodes, {}, 0};
    if (unfinished_) continue_prompt(batch, room);
    if (!batch.waiting().empty()) batch.blocked_by(take_waiting(batch, now, room));
    return room.taken > 0;
  }

  void continue_prompt(Batch& batch, Room& room) {
    const RequestIndex r = *unfinished_;
    const LiveRequest& request = batch.request(r);
    run(batch, r, request.prefill_target - request.computed + request.rebuild_left, room);
  }

  // Takes whom it can; why the next one waits, if one does.
  WaitReason take_waiting(Batch& batch, SimTime now, Room& room) {
    if (full_) return full_of_;
    if (batch.preempted() > 0) return WaitReason::memory;
    if (!batch.prefill_allowed()) return WaitReason::prefill_delayed;
    if (!below_cap(batch)) return fill(WaitReason::running_cap);
    room.expected += expected_of_running(batch);
    while (!batch.waiting().empty()) {
      if (!below_cap(batch)) return fill(WaitReason::running_cap);
      if (unfinished_ || room.chunk <= Tokens{0} || room.input <= Tokens{0}) {
        return WaitReason::step_tokens;
      }
      const Lookup found = batch.look_up_head();
      if (!fits(batch, found, room)) return fill(WaitReason::memory);
      const Tokens length = batch.to_run(found);
      if (!startable(batch, length, found.resume.rebuild, room)) return WaitReason::step_tokens;
      if (!batch.admit_head(now, found)) return fill(WaitReason::memory);
      run(batch, batch.running().back(), length, room);
    }
    return WaitReason::nothing_waits;
  }

  WaitReason fill(WaitReason reason) {
    full_ = true;
    full_of_ = reason;
    return reason;
  }

  // Admission by expected need. Who fits alone fits while nobody runs, whatever is expected.
  bool fits(const Batch& batch, const Lookup& found, const Room& room) const {
    if (batch.running().empty()) return true;
    const Tokens own = expected_output(batch.request(batch.waiting().front()));
    // SGLang asks for less than what is left, not for at most that.
    return batch.head_would_fit(found, room.expected + own + Tokens{1});
  }

  // Blocks are the grain of prefill, unless a step is too small for one.
  static Tokens grain(const Batch& batch) {
    return batch.limits().step_tokens < batch.block() ? Tokens{1} : batch.block();
  }

  static Tokens charge(const Batch& batch, Tokens length) {
    const Tokens page = grain(batch);
    return round_down(length + page - Tokens{1}, page);
  }

  // Whether the next request may begin in this batch: something of it must be left by the cut, and a
  // rebuild is not cut, but followed by a page of the prompt in the same batch (PRs 28058, 31713,
  // which refuse to start with a chunk that is too small for that; here such a rebuild is cut).
  // Where prompts are not cut, max_prefill_tokens bounds all but the first.
  bool startable(const Batch& batch, Tokens length, Tokens rebuild, const Room& room) const {
    const Tokens whole = rebuild + grain(batch);
    if (numbers_.rebuild_whole && rebuild > Tokens{0} && charge(batch, length) > room.chunk &&
        whole > room.chunk && whole <= batch.limits().step_tokens) {
      return false;
    }
    const bool uncut = batch.limits().step_tokens >= batch.limits().max_context;
    if (uncut && room.taken > 0 && charge(batch, length) >= room.input) return false;
    return charge(batch, length) <= room.chunk || room.chunk >= grain(batch);
  }

  // Runs what the chunk allows of the `length` tokens that a running request has left.
  void run(Batch& batch, RequestIndex r, Tokens length, Room& room) {
    Tokens part = length;
    if (charge(batch, length) > room.chunk) {
      part = std::min(length, cut(batch, batch.request(r), room.chunk));
    }
    if (part <= Tokens{0}) return;
    batch.prefill(r, part);
    ++room.taken;
    room.chunk -= charge(batch, part);
    room.input -= charge(batch, part);
    unfinished_.reset();
    if (part < length) {
      unfinished_ = r;
    } else {
      room.expected += expected_output(batch.request(r));
    }
  }

  // Of a prompt that does not fit, what ends at a block's end. A rebuild that no step could hold may
  // be cut anywhere.
  static Tokens cut(const Batch& batch, const LiveRequest& request, Tokens chunk) {
    if (chunk <= request.rebuild_left) return chunk;
    const Tokens end = request.computed + chunk - request.rebuild_left;
    const Tokens down = round_down(end, grain(batch));
    return request.rebuild_left + std::max(Tokens{0}, down - request.computed);
  }

  // The next token of every decoding request. True when there was one and nobody was retracted.
  bool decode_all(Batch& batch) {
    const bool room = everyone_fits(batch);
    if (!room) retract(batch);
    bool any = false;
    for (const RequestIndex r : batch.running()) {
      if (!decoding(batch, r)) continue;
      any = batch.decode(r);
      V4CAP_CHECK(any, "room that was made is not there");
    }
    return room && any;
  }

  static bool everyone_fits(Batch& batch) {
    return std::ranges::all_of(
        batch.running(), [&](RequestIndex r) { return !decoding(batch, r) || batch.make_room(r); });
  }

  void retract(Batch& batch) {
    order_.clear();
    for (const RequestIndex r : batch.running()) {
      if (decoding(batch, r)) order_.push_back(r);
    }
    // Last goes first. Of equals the younger, which no rule of SGLang's says.
    std::ranges::stable_sort(order_, [&](RequestIndex a, RequestIndex b) {
      const LiveRequest &x = batch.request(a), &y = batch.request(b);
      if (x.generated != y.generated) return x.generated > y.generated;
      return x.prompt < y.prompt;
    });
    do {
      V4CAP_CHECK(!order_.empty(), "decodes lack memory that nobody has");
      batch.preempt(order_.back());
      order_.pop_back();
    } while (!everyone_fits(batch));
    full_ = false;
    batch.blocked_by(WaitReason::memory);
    expect_anew(batch);
  }

  void expect_anew(const Batch& batch) {
    Tokens generated, output;
    for (const RequestIndex r : order_) {
      generated += batch.request(r).generated + numbers_.retract_ahead;
      output += batch.request(r).output;
    }
    if (output == Tokens{0}) return;  // nobody decodes any more
    ratio_ =
        std::min(1.0, static_cast<double>(generated.value) / static_cast<double>(output.value));
  }

  Numbers numbers_;
  bool mixed_;
  double ratio_;                            // of the expected output of running requests
  std::optional<RequestIndex> unfinished_;  // the prompt that was cut last; it is never retracted
  bool full_ = false;
  WaitReason full_of_ = WaitReason::memory;
  std::size_t running_before_ = 0;   // at the end of the last plan
  std::vector<RequestIndex> order_;  // scratch of retract()
};

const bool registered = SchedulerRegistry::add(
    kName, [](const SchedulerParameters& parameters) -> std::unique_ptr<SchedulerRules> {
      return std::make_unique<SglangScheduler>(parameters);
    });

constexpr double kMostTokens = 1e9;

const bool described = SchedulerTraitsRegistry::add(
    kName,
    {.mixes_chunks = true,
     .delays_prefill = true,
     .prefill_alone = true,  // managers/scheduler.py, get_next_batch_to_run
     .caps_long_prompts = false,
     .parameters = {
         {"max_prefill_tokens", "prompt tokens of a batch that takes further requests", 1,
          kMostTokens},
         {"clip_max_new_tokens", "output tokens that a request is expected to need at most", 0,
          kMostTokens},
         {"conservativeness", "factor of new_token_ratio, a launch's own", 0, 100, false},
         {"conservativeness_of_ranks", "a further factor with more than one attention rank", 0, 100,
          false},
         {"new_token_ratio", "share of its output that a running request is expected to need", 0, 1,
          false},
         {"new_token_ratio_least", "share of new_token_ratio that is left in the end", 0, 1, false},
         {"new_token_ratio_decay_steps", "decode steps until then", 1, kMostTokens},
         {"prefill_delay_steps", "steps that the prefill delayer waits for other ranks", 1,
          kMostTokens},
         {"retract_decode_steps",
          "tokens that each request left is expected to generate after a retraction", 0,
          kMostTokens},
         {"rebuild_whole",
          "1: a rebuild waits for a step that holds it and a page behind it; 0: it is cut as "
          "prompts are",
          0, 1},
     }});

}  // namespace

}  // namespace v4cap
