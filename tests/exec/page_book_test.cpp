// What a page book hands out is held against a plain record of what every page, point and slot of a
// device would contain, written by the steps of an engine under memory pressure. A page, point or
// slot that is given away too early, twice or to the wrong sequence has the wrong contents when it
// is read.
#include "exec/pages/page_book.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <boost/random/uniform_int_distribution.hpp>
#include <map>
#include <set>
#include <string>

#include "sim/cache/kv_cache.h"
#include "sim/cache/point_retention.h"
#include "sim/config/engine_file.h"
#include "sim/core/random.h"
#include "sim/engine/engine.h"
#include "tests/dies.h"
#include "tests/sim/cache/toy_layout.h"
#include "tests/sim/cache/toy_model.h"

namespace v4cap::exec {
namespace {

constexpr EntryFormat kEntry{584, 132, 36'864, 4'096};
constexpr std::size_t kLayers = 6;  // `recompute` runs 768 tokens again

struct Setting {
  std::string layout = "ideal", policy = "full", scheduler = "fcfs";
  bool mixed_chunk = false;
  std::int64_t drafts = 0;
  bool reuse_generated = true;
  std::uint64_t seed = 1;
  Tokens block{256};
  std::int64_t blocks = 48;  // that fit beside the state of one to three running sequences
  EngineLimits limits{5, Tokens{700}, Tokens{1 << 20}, 0};
};

// Memory of so many blocks.
std::unique_ptr<Layout> tight_layout(const Setting& s, const SwaPolicy& policy) {
  const ModelSpec model = toy_model(kLayers);
  const CacheGeometry geometry(model, kEntry);
  LayoutContext context{geometry, model, s.block, Bytes{64 * kGiB}, policy.window_pool_ratio()};
  context.entry = kEntry;
  context.step_tokens = s.limits.step_tokens;
  context.draft_tokens = s.limits.draft_tokens;
  context.max_running = s.limits.max_running;
  const bool window = context.window_of_every_token = policy.stores_window_of_every_token();
  if (s.layout == "sglang") {
    context.options = {
        {"swa_full_tokens_ratio", 0.6}, {"request_slots", 0}, {"dead_ends_dropped", 1}};
  }
  const auto wide = make_layout(s.layout, context);
  double memory = static_cast<double>(wide->blocks(0, s.blocks, window).total().value);
  if (const auto ratio = wide->window_pool_ratio(); ratio && !window) {
    memory += *ratio * static_cast<double>(wide->windows(0, s.blocks).total().value);
  }
  const double states = s.layout == "ideal" ? 3 : s.layout == "vllm" ? 1 : 0;  // sglang: in windows
  memory += states * static_cast<double>(wide->running(window, s.limits.step_tokens).total().value);
  context.memory = Bytes{static_cast<std::int64_t>(memory)};
  return make_layout(s.layout, context);
}

// What happened in a run, so that a test can tell whether it saw what it is about.
struct Seen {
  std::int64_t finished = 0, preempted = 0, evicted = 0, points_read = 0, points_written = 0;
  std::int64_t output_ends = 0, adopted = 0, pages_reused = 0, rebuilt = 0, shared_hits = 0;
  Seen& operator+=(const Seen& o) {
    finished += o.finished;
    preempted += o.preempted;
    evicted += o.evicted;
    points_read += o.points_read;
    points_written += o.points_written;
    output_ends += o.output_ends;
    adopted += o.adopted;
    pages_reused += o.pages_reused;
    rebuilt += o.rebuilt;
    shared_hits += o.shared_hits;
    return *this;
  }
};

// An engine, and a device that performs its plans in words.
class Device {
 public:
  explicit Device(const Setting& s)
      : block_(s.block), drafts_(s.drafts), random_(RandomStreams(s.seed).stream("page book")) {
    const CacheGeometry geometry(toy_model(kLayers), kEntry);
    auto policy = make_policy(s.policy, geometry, block_, {});
    stores_windows_ = policy->stores_window_of_every_token();
    EngineLimits limits = s.limits;
    limits.draft_tokens = s.drafts;
    Setting with_drafts = s;
    with_drafts.limits = limits;
    auto layout = tight_layout(with_drafts, *policy);
    book_ = std::make_unique<PageBook>(page_book_sizes(*layout, *policy, block_, limits));
    pages_.resize(static_cast<std::size_t>(book_->sizes().pages));
    points_.resize(static_cast<std::size_t>(book_->sizes().points));
    states_.resize(static_cast<std::size_t>(book_->sizes().slots));
    SchedulerParameters rules;
    rules.mixed_chunk = s.mixed_chunk;
    if (s.scheduler == "sglang") {
      rules.options = known_engine("sglang").scheduler->options;
      rules.options["clip_max_new_tokens"] = 0;  // expects no output, and has to retract
    }
    const Acceptance accepted(acceptance_of_mean(s.drafts, 1 + 0.6 * static_cast<double>(s.drafts)),
                              s.seed);
    engine_ = std::make_unique<Engine>(
        limits, std::make_unique<KvCache>(std::move(layout), std::move(policy), block_),
        make_scheduler(s.scheduler, rules), s.reuse_generated, accepted);
    engine_->observe(book_.get());
  }

  void run(std::size_t requests) {
    while (keys_.size() < requests || engine_->has_work()) {
      if (keys_.size() < requests && draw(0, 9) == 0) arrive();
      step();
    }
    engine_->check_drained();
    book_->check_drained();
    REQUIRE(book_->take_admitted().empty());
    REQUIRE(held_points() == charged_points());
    seen.preempted = engine_->preemptions();
    seen.evicted = engine_->cache().evicted().total().value;
  }

  Seen seen;

 private:
  // A page holds the first `filled` tokens of the block with this key. Equal keys are equal
  // prefixes.
  struct PageContents {
    std::int64_t key = 0;
    Tokens filled;
  };
  // A point, the state behind the block with this key. 0: nothing.
  struct PointContents {
    std::int64_t key = 0;
    bool operator==(const PointContents&) const = default;
  };
  // The state of request `id` behind so many tokens. -1: not built yet.
  struct State {
    std::uint32_t id = 0;
    Tokens position{-1};
    bool operator==(const State&) const = default;
  };

  std::int64_t draw(std::int64_t low, std::int64_t high) {
    return boost::random::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }

  // One to three requests that are new, the same as an earlier one, or go another way from it, some
  // of them at the same time.
  void arrive() {
    std::vector<std::int64_t> path;
    if (!keys_.empty() && draw(0, 4) > 0) {
      const auto recent = std::min(static_cast<std::int64_t>(keys_.size()), std::int64_t{12});
      path = keys_[keys_.size() - static_cast<std::size_t>(draw(1, recent))];
      if (draw(0, 1) == 0) {
        path.resize(static_cast<std::size_t>(draw(0, static_cast<std::int64_t>(path.size()))));
      }
    }
    const std::size_t most = 18;
    if (path.size() > most) path.resize(most);
    for (auto more = draw(path.empty() ? 1 : 0, 8); more > 0; --more) path.push_back(next_key_++);
    for (auto copies = draw(1, 3); copies > 0; --copies) submit(path);
  }

  void submit(const std::vector<std::int64_t>& path) {
    const auto id = static_cast<std::uint32_t>(keys_.size());
    const Tokens whole = block_ * static_cast<std::int64_t>(path.size());
    const Tokens length = whole + Tokens{draw(0, block_.value - 1)};
    const Tokens output{
        std::min(draw(0, 3) == 0 ? 0 : draw(1, 3 * block_.value), length.value - 1)};
    RequestSpec spec{id, length - output, output, {}};
    for (const std::int64_t key : path) {
      if (!spec.keys.empty() && spec.keys.back().first + spec.keys.back().count == key) {
        ++spec.keys.back().count;
      } else {
        spec.keys.push_back({key, 1});
      }
    }
    keys_.push_back(path);
    RequestRecord refused;
    engine_->submit(std::move(spec), kSimStart, refused);
  }

  void step() {
    const StepPlan& plan = engine_->plan_step(kSimStart);
    for (const Admitted& a : book_->take_admitted()) start(a);
    book_->check();
    if (plan.empty()) return;
    std::vector<PointCopy> drafted;
    std::vector<std::int32_t> slots;
    for (const StepPiece& piece : plan.pieces) {
      slots.push_back(book_->slot(piece.request));
      run(piece, drafted);
    }
    const std::map<RequestIndex, std::vector<std::int32_t>> before = pages_of_running();
    std::vector<RequestRecord> ended;
    engine_->finish_step(kSimStart, ended);
    for (std::size_t i = 0; i < plan.pieces.size(); ++i) settle(plan.pieces[i], slots[i]);
    for (const PointCopy& c : drafted) {
      if (c.position > engine_->request(c.request).computed) point(c.point) = {};
    }
    copy_output_ends();
    seen.finished += static_cast<std::int64_t>(ended.size());
    for (const auto& [request, pages] : pages_of_running()) {
      for (std::size_t b = 0; b < pages.size(); ++b) {
        seen.adopted += b < before.at(request).size() && before.at(request)[b] != pages[b] ? 1 : 0;
      }
    }
    check();
  }

  void start(const Admitted& a) {
    const LiveRequest& request = engine_->request(a.request);
    REQUIRE(a.slot == book_->slot(a.request));
    REQUIRE(a.position == request.computed);
    REQUIRE(a.rebuild == request.rebuild_left);
    const bool reads_point = a.position > Tokens{0} && a.rebuild == Tokens{0} && !stores_windows_;
    REQUIRE(reads_point == (a.point >= 0));
    seen.shared_hits += book_->shared(a.request) > 0 ? 1 : 0;
    if (reads_point) {
      REQUIRE(point(a.point) == PointContents{key_behind(request.id, a.position)});
      ++seen.points_read;
    }
    states_.at(static_cast<std::size_t>(a.slot)) = {
        request.id, a.rebuild > Tokens{0} ? Tokens{-1} : a.position};
  }

  void run(const StepPiece& piece, std::vector<PointCopy>& drafted) {
    const RequestIndex r = piece.request;
    const LiveRequest& request = engine_->request(r);
    State& state = states_.at(static_cast<std::size_t>(book_->slot(r)));
    REQUIRE(state.id == request.id);
    const Tokens end = piece.past + piece.tokens;
    if (piece.kind == PieceKind::rebuild) {
      check_pages(r, request.computed);
      if (end == request.computed) state.position = end;
      seen.rebuilt += piece.tokens.value;
      return;
    }
    REQUIRE(state.position == piece.past);
    check_pages(r, piece.past);
    Tokens last = piece.past;
    for (const PointCopy& c : book_->points_within(r, piece.past, end)) {
      REQUIRE(c.request == r);
      REQUIRE(c.slot == book_->slot(r));
      REQUIRE(c.position > last);
      REQUIRE(c.position <= end);
      last = c.position;
      point(c.point) = {key_behind(request.id, c.position)};
      if (piece.kind == PieceKind::decode) drafted.push_back(c);
      ++seen.points_written;
    }
    write(r, piece.past, end);
    state.position = end;
  }

  void write(RequestIndex r, Tokens begin, Tokens end) {
    const auto pages = book_->pages(r);
    for (std::int64_t b = begin / block_; block_ * b < end; ++b) {
      const auto at = static_cast<std::size_t>(b);
      if (at >= pages.size()) return;  // drafts behind the end of the output
      const Tokens filled = std::min(end - block_ * b, block_);
      PageContents& page = pages_.at(static_cast<std::size_t>(pages[at]));
      const std::int64_t key = key_of(engine_->request(r).id, at);
      if (b < book_->shared(r)) {  // it is there already, and others may read it now
        REQUIRE(page.key == key);
        REQUIRE(page.filled == block_);
        continue;
      }
      if (block_ * b < begin) {
        REQUIRE(page.key == key);
        REQUIRE(page.filled >= begin - block_ * b);
      } else if (page.key != 0 && page.key != key) {
        ++seen.pages_reused;
      }
      page = {key, filled};
    }
  }

  // What drafts wrote that were not accepted is worth nothing.
  void settle(const StepPiece& piece, std::int32_t slot) {
    if (piece.kind != PieceKind::decode) return;
    const LiveRequest& request = engine_->request(piece.request);
    states_.at(static_cast<std::size_t>(slot)).position = request.computed;
    if (request.state != RequestState::decoding) return;
    const auto pages = book_->pages(piece.request);
    for (auto b = request.computed / block_; b < static_cast<std::int64_t>(pages.size()); ++b) {
      if (b < book_->shared(piece.request)) continue;
      PageContents& page = pages_.at(static_cast<std::size_t>(pages[static_cast<std::size_t>(b)]));
      if (page.key != key_of(request.id, static_cast<std::size_t>(b))) continue;
      page.filled = std::min(page.filled, request.computed - block_ * b);
    }
  }

  void copy_output_ends() {
    std::set<std::int32_t> written;
    for (const PointCopy& c : book_->take_point_copies()) {
      const State& state = states_.at(static_cast<std::size_t>(c.slot));
      REQUIRE(c.position > Tokens{0});
      REQUIRE(c.position <= state.position);
      if (drafts_ == 0 && engine_->preemptions() == 0) REQUIRE(c.position == state.position);
      REQUIRE(written.insert(c.point).second);
      point(c.point) = {key_behind(state.id, c.position)};
      ++seen.output_ends;
    }
  }

  bool runs(RequestIndex r) const {
    const RequestState state = engine_->request(r).state;
    return state == RequestState::rebuilding || state == RequestState::prefilling ||
           state == RequestState::decoding;
  }

  std::map<RequestIndex, std::vector<std::int32_t>> pages_of_running() const {
    std::map<RequestIndex, std::vector<std::int32_t>> all;
    std::size_t slots = 0;
    for (RequestIndex r = 0; slots < engine_->requests(); ++r) {
      const RequestState state = engine_->request(r).state;
      if (state != RequestState::finished && state != RequestState::refused) ++slots;
      if (!runs(r)) continue;
      const auto pages = book_->pages(r);
      all[r] = {pages.begin(), pages.end()};
    }
    return all;
  }

  // The first `length` tokens of the sequence lie in its pages.
  void check_pages(RequestIndex r, Tokens length) const {
    const auto pages = book_->pages(r);
    const std::uint32_t id = engine_->request(r).id;
    REQUIRE(block_ * static_cast<std::int64_t>(pages.size()) >= length);
    for (std::size_t b = 0; block_ * static_cast<std::int64_t>(b) < length; ++b) {
      const PageContents& page = pages_.at(static_cast<std::size_t>(pages[b]));
      const Tokens wanted = std::min(length - block_ * static_cast<std::int64_t>(b), block_);
      if (page.key == key_of(id, b) && page.filled >= wanted) continue;
      CAPTURE(b);
      REQUIRE(page.key == key_of(id, b));
      REQUIRE(page.filled >= wanted);
    }
  }

  void check() const {
    book_->check();
    std::map<std::int32_t, std::int64_t> owner;  // page: the key that all its holders have there
    const auto running = pages_of_running();
    REQUIRE(running.size() == engine_->running());
    REQUIRE(book_->free_slots() ==
            book_->sizes().slots - static_cast<std::int32_t>(running.size()));
    for (const auto& [r, pages] : running) {
      const LiveRequest& request = engine_->request(r);
      check_pages(r, request.computed);
      REQUIRE(static_cast<std::int64_t>(pages.size()) ==
              request.sequence.shared + request.sequence.own);
      for (std::size_t b = 0; b < pages.size(); ++b) {
        const auto [at, fresh] = owner.emplace(pages[b], key_of(request.id, b));
        if (fresh) continue;
        REQUIRE(at->second == key_of(request.id, b));
        REQUIRE(static_cast<std::int64_t>(b) < request.sequence.shared);
      }
    }
    const KvCache& cache = engine_->cache();
    const std::int64_t charged = (cache.in_use() + cache.cached())[CacheKind::csa];
    REQUIRE(charged == (book_->sizes().pages - book_->free_pages()) *
                           cache.layout().blocks(0, 1, false)[CacheKind::csa]);
    REQUIRE(held_points() >= charged_points());
    if (!cache.policy().window_pool_ratio()) {
      REQUIRE(held_points() <= charged_points() + static_cast<std::int64_t>(running.size()));
    }
  }

  std::int64_t held_points() const { return book_->sizes().points - book_->free_points(); }
  std::int64_t charged_points() const {
    const KvCache& cache = engine_->cache();
    const KindBytes one = point_bytes(cache.policy(), cache.layout(), block_, block_);
    return cache.point_bytes().total().value / one.total().value;
  }

  PointContents& point(std::int32_t at) { return points_.at(static_cast<std::size_t>(at)); }
  // Of the block that ends at `position`.
  std::int64_t key_behind(std::uint32_t id, Tokens position) const {
    REQUIRE(position % block_ == Tokens{0});
    return keys_.at(id).at(static_cast<std::size_t>(position / block_ - 1));
  }
  // The last block, which is not full, is the request's own.
  std::int64_t key_of(std::uint32_t id, std::size_t b) const {
    return b < keys_.at(id).size() ? keys_.at(id)[b] : -1 - std::int64_t{id};
  }

  Tokens block_;
  std::int64_t drafts_;
  bool stores_windows_ = false;
  RandomEngine random_;
  std::unique_ptr<PageBook> book_;
  std::unique_ptr<Engine> engine_;
  std::vector<std::vector<std::int64_t>> keys_;  // by request
  std::int64_t next_key_ = 1;
  std::vector<PageContents> pages_;
  std::vector<PointContents> points_;
  std::vector<State> states_;
};

const std::vector<std::string> kPolicies = {
    "full",     "checkpoint=256",     "checkpoint=1024",   "checkpoint=512+ends",
    "tail",     "recompute",          "recompute=pyramid", "replay",
    "pool=0.3", "pool=0.3+recompute", "pool=0.7",          "reuse",
    "reuse=0.3"};

Seen play(Setting s) {
  Seen seen;
  for (s.seed = 1; s.seed <= 2; ++s.seed) {
    CAPTURE(s.seed);
    Device device(s);
    device.run(120);
    seen += device.seen;
  }
  return seen;
}

// What a policy must have shown for its run to be a test of it.
void check_seen(const Setting& s, const Seen& seen) {
  CHECK(seen.finished > 180);
  CHECK(seen.evicted > 0);
  CHECK(seen.pages_reused > 50);
  CHECK(seen.shared_hits > 30);
  CHECK(seen.adopted > 0);
  const bool points = s.policy.starts_with("checkpoint") || s.policy == "tail" ||
                      s.policy.starts_with("pool") || s.policy.starts_with("reuse");
  CHECK((seen.points_written > 50) == points);
  CHECK((seen.points_read > 10) == points);
  CHECK((seen.output_ends > 0) ==
        (s.reuse_generated &&
         (s.policy.ends_with("ends") || s.policy == "tail" || s.policy.starts_with("reuse"))));
  if (s.policy.starts_with("recompute") || s.policy == "replay") CHECK(seen.rebuilt > 0);
}

TEST_CASE("page book: pages, points and slots hold what was written, whatever is evicted") {
  Seen all;
  for (const std::string layout : {"ideal", "vllm", "sglang"}) {
    for (const std::string& policy : kPolicies) {
      if (layout == "vllm" && policy.starts_with("pool")) continue;  // has no pool for windows
      Setting s{.layout = layout, .policy = policy};
      CAPTURE(layout);
      CAPTURE(policy);
      const Seen seen = play(s);
      check_seen(s, seen);
      all += seen;
    }
  }
  CHECK(all.preempted > 20);
}

TEST_CASE("page book: the same under every scheduler") {
  struct Row {
    std::string scheduler;
    bool mixed_chunk;
  };
  for (const Row& row :
       {Row{"fcfs", false}, {"vllm", false}, {"sglang", false}, {"sglang", true}}) {
    Seen all;
    for (const std::string& policy : kPolicies) {
      Setting s{.policy = policy, .scheduler = row.scheduler, .mixed_chunk = row.mixed_chunk};
      CAPTURE(row.scheduler);
      CAPTURE(policy);
      all += play(s);
    }
    CHECK(all.finished > 2000);
    CHECK(all.preempted > 5);
    CHECK(all.adopted > 100);
    CHECK(all.points_read > 200);
    CHECK(all.output_ends > 100);
  }
}

TEST_CASE("page book: drafts that are rejected leave nothing behind") {
  for (const std::string& policy : kPolicies) {
    CAPTURE(policy);
    Setting s{.policy = policy, .drafts = 3};
    check_seen(s, play(s));
  }
}

TEST_CASE("page book: output that is not reused never enters the index") {
  for (const std::string& policy : kPolicies) {
    CAPTURE(policy);
    Setting s{.policy = policy, .reuse_generated = false};
    check_seen(s, play(s));
  }
}

TEST_CASE("page book: steps smaller than a block, and larger than memory") {
  for (const std::int64_t step : {100, 20'000}) {
    for (const std::string& policy : kPolicies) {
      CAPTURE(step);
      CAPTURE(policy);
      Setting s{.policy = policy};
      s.limits.step_tokens = Tokens{step};
      const Seen seen = play(s);
      CHECK(seen.finished > 180);
      CHECK(seen.evicted > 0);
    }
  }
}

// -- one thing at a time, with blocks of 64 tokens

constexpr Tokens kBlock{64};

struct Small {
  explicit Small(const std::string& policy, const ToyCosts& costs = {1000, 1, 1, 1, 1},
                 PageBookSizes sizes = {20, 12, 4})
      : cache(std::make_unique<ToyLayout>(costs), make_policy(policy, toy_geometry(), kBlock, {}),
              kBlock),
        book(sizes) {
    cache.observe(&book);
  }

  // A sequence of so many prompt tokens, in one chunk whose points are reserved.
  CachedSequence start(std::uint32_t tag, std::vector<KeyRun> keys, Tokens length) {
    CachedSequence s;
    s.tag = tag;
    s.keys = std::move(keys);
    s.indexable = block_count(s.keys);
    cache.plan_points(s, length);
    const Lookup found = cache.lookup(s, length);
    REQUIRE(cache.admit(s, found, length, length, true));
    cache.reserve_points(s, found.resume.position, length);
    return s;
  }
  std::vector<std::int32_t> pages(std::uint32_t tag) const {
    const auto span = book.pages(tag);
    return {span.begin(), span.end()};
  }

  KvCache cache;
  PageBook book;
};

TEST_CASE("page book: a hit has the pages of the matched path, and its own behind them") {
  Small small("full");
  CachedSequence a = small.start(0, {{0, 6}}, kBlock * 6);
  const auto first = small.pages(0);
  small.cache.commit(a, kBlock * 6);
  CHECK(small.pages(0) == first);
  CHECK(small.book.shared(0) == 6);
  // Goes another way after two blocks: the node is cut under the first, which keeps its pages.
  CachedSequence b = small.start(1, {{0, 2}, {100, 2}}, kBlock * 4);
  CHECK(small.pages(0) == first);
  const auto second = small.pages(1);
  CHECK(small.book.shared(1) == 2);
  CHECK(std::equal(second.begin(), second.begin() + 2, first.begin()));
  CHECK(std::find_first_of(second.begin() + 2, second.end(), first.begin(), first.end()) ==
        second.end());
  CHECK(small.book.free_pages() == 20 - 8);
  small.cache.commit(b, kBlock * 4);
  small.cache.release(a);
  CachedSequence c = small.start(2, {{0, 7}}, kBlock * 7);  // over both parts of the cut node
  const auto third = small.pages(2);
  CHECK(std::equal(first.begin(), first.end(), third.begin()));
  small.cache.release(b);
  small.cache.release(c);
  small.book.check_drained();
  CHECK(small.book.free_pages() == 20 - 8);  // cached; the seventh was not computed
}

TEST_CASE("page book: of two that compute the same blocks the later gives its own pages back") {
  Small small("full");
  CachedSequence a = small.start(0, {{0, 3}, {50, 1}}, kBlock * 4);
  CachedSequence b = small.start(1, {{0, 3}, {60, 2}}, kBlock * 5);
  const auto pages_a = small.pages(0), pages_b = small.pages(1);
  CHECK(small.book.free_pages() == 20 - 9);
  small.cache.commit(a, kBlock * 4);
  small.cache.commit(b, kBlock * 2);  // adopts two, in the middle of a's node
  CHECK(small.book.free_pages() == 20 - 7);
  small.cache.commit(b, kBlock * 5);  // one more, and two of its own
  CHECK(small.book.free_pages() == 20 - 6);
  CHECK(small.pages(0) == pages_a);
  CHECK(small.pages(1) == std::vector{pages_a[0], pages_a[1], pages_a[2], pages_b[3], pages_b[4]});
  small.book.check();
  small.cache.release(a);
  small.cache.release(b);
  small.book.check_drained();
}

TEST_CASE("page book: evicted pages are dealt out again, the end of the oldest first") {
  Small small("full", {8, 1, 0, 0, 0}, {8, 0, 4});
  CachedSequence a = small.start(0, {{0, 6}}, kBlock * 6);
  const auto old = small.pages(0);
  small.cache.commit(a, kBlock * 6);
  small.cache.release(a);
  CachedSequence b = small.start(1, {{100, 5}}, kBlock * 5);
  CHECK(small.book.free_pages() == 0);
  const auto fresh = small.pages(1);
  for (std::size_t i = 0; i < 6; ++i) {
    const bool reused = std::find(fresh.begin(), fresh.end(), old[i]) != fresh.end();
    CHECK(reused == (i >= 3));
  }
  small.cache.release(b);
  small.book.check_drained();
}

TEST_CASE("page book: points are copied out in order, and go back where another was first") {
  Small small("checkpoint=64");
  CachedSequence a = small.start(0, {{0, 3}}, kBlock * 3);
  CachedSequence b = small.start(1, {{0, 3}}, kBlock * 3);
  const auto copies = small.book.points_within(0, Tokens{0}, kBlock * 3);
  REQUIRE(copies.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(copies[i].position == kBlock * (static_cast<std::int64_t>(i) + 1));
    CHECK(copies[i].slot == small.book.slot(0));
  }
  CHECK(small.book.points_within(0, kBlock, kBlock * 2) == std::vector{copies[1]});
  CHECK(small.book.points_within(0, kBlock * 3, kBlock * 9).empty());
  CHECK(small.book.free_points() == 12 - 6);
  small.cache.commit(b, kBlock * 3);
  CHECK(small.book.points_within(1, Tokens{0}, kBlock * 3).empty());
  CHECK(small.book.free_points() == 12 - 6);
  small.cache.commit(a, kBlock * 3);  // all three are there
  CHECK(small.book.free_points() == 12 - 3);
  small.cache.release(a);
  small.cache.release(b);
  CHECK(small.book.take_point_copies().empty());
  small.book.check_drained();
}

TEST_CASE("page book: a preempted sequence gives back what is not computed and its slot") {
  Small small("checkpoint=64");
  CachedSequence a = small.start(0, {{0, 6}}, kBlock * 6);
  CHECK(small.book.take_admitted() == std::vector{Admitted{0, 0, -1, Tokens{0}, Tokens{0}}});
  small.cache.commit(a, kBlock * 4);
  small.cache.release(a);
  CHECK(small.book.free_pages() == 20 - 4);
  CHECK(small.book.free_points() == 12 - 4);
  CHECK(small.book.free_slots() == 4);
  small.book.check_drained();
  a = small.start(0, {{0, 6}}, kBlock * 6);
  const auto again = small.book.take_admitted();
  REQUIRE(again.size() == 1);
  CHECK(again[0].position == kBlock * 4);
  CHECK(again[0].point >= 0);
  CHECK(small.book.points_within(0, Tokens{0}, kBlock * 6).size() == 2);
}

TEST_CASE("page book: who is admitted and preempted in one plan is not reported") {
  Small small("checkpoint=64");
  CachedSequence a = small.start(0, {{0, 2}}, kBlock * 2);
  CachedSequence b = small.start(1, {{10, 2}}, kBlock * 2);
  small.cache.release(a);
  const auto admitted = small.book.take_admitted();
  REQUIRE(admitted.size() == 1);
  CHECK(admitted[0].request == 1);
  CHECK(small.book.take_admitted().empty());
  a = small.start(0, {{0, 2}}, kBlock * 2);
  CHECK(small.book.take_admitted().size() == 1);
}

TEST_CASE("page book: a point that goes while it is resumed at is not given away before its copy") {
  // 4 blocks and 4 points of 3; 9 blocks more want the room of three points.
  Small small("checkpoint=64", {16, 1, 0, 3, 0}, {20, 6, 4});
  CachedSequence a = small.start(0, {{0, 4}}, kBlock * 4);
  const std::int32_t last = small.book.points_within(0, kBlock * 3, kBlock * 4).at(0).point;
  small.cache.commit(a, kBlock * 4);
  small.cache.release(a);
  CHECK(small.book.free_points() == 6 - 4);
  CachedSequence b = small.start(1, {{0, 4}, {50, 9}}, kBlock * 13);
  CHECK(small.book.free_points() == 6 - 1 - 1);  // the first is kept, the last pinned
  small.book.check();
  const auto admitted = small.book.take_admitted();
  REQUIRE(admitted.size() == 1);
  CHECK(admitted[0].position == kBlock * 4);
  CHECK(admitted[0].point == last);
  CHECK(small.book.free_points() == 6 - 2);  // as long as the step may run
  CHECK(small.book.take_admitted().empty());
  CHECK(small.book.free_points() == 6 - 1);
  small.book.check();
  small.cache.release(b);
  small.book.check_drained();
}

TEST_CASE("page book: pins end with their sequence, and a second admission has its own") {
  PageBook book({4, 3, 2});
  book.admitted({.tag = 0});
  book.grown(0, 1);
  book.point_reserved(0, kBlock, PointReason::interval);
  const std::int32_t place = book.points_within(0, Tokens{0}, kBlock).at(0).point;
  book.node_added(1, kRootNode);
  book.committed(0, 1, 0, 1, 0);
  book.point_kept(0, kBlock, 5);
  book.take_admitted();
  const CacheObserver::Admission hit{
      .tag = 1, .cursor = 1, .shared = 1, .resume = {kBlock, {}}, .point = 5};
  book.admitted(hit);
  CHECK(book.take_admitted().at(0).point == place);
  book.released(1);  // preempted in the next plan, and admitted again
  book.admitted(hit);
  book.point_evicted(5);
  CHECK(book.free_points() == 2);
  CHECK(book.take_admitted().at(0).point == place);  // does not end the pin of the second
  CHECK(book.free_points() == 2);
  book.check();
  book.released(1);
  CHECK(book.free_points() == 3);
  // The same id is kept again, as a mark may be.
  book.point_reserved(0, kBlock * 2, PointReason::interval);
  book.point_kept(0, kBlock * 2, 5);
  CHECK(book.free_points() == 2);
  book.released(0);
  book.check_drained();
}

TEST_CASE("page book: the end of an output moves on with it and stays when it ends") {
  Small small("tail");
  CachedSequence a = small.start(0, {{0, 5}}, kBlock * 2);
  small.cache.commit(a, kBlock * 2);
  CHECK(small.book.take_point_copies().empty());  // of the prompt's end
  CHECK(small.book.free_points() == 12 - 1);
  const std::int32_t slot = small.book.slot(0);
  for (std::int64_t b = 3; b <= 5; ++b) {
    REQUIRE(small.cache.grow(a, kBlock * b));
    small.cache.commit(a, kBlock * b);
    if (b == 5) small.cache.release(a);  // with its last token
    const auto copies = small.book.take_point_copies();
    REQUIRE(copies.size() == 1);
    CHECK(copies[0].position == kBlock * b);
    CHECK(copies[0].slot == slot);
    CHECK(small.book.free_points() == 12 - 2);
    small.book.check();
  }
  CHECK(small.book.take_point_copies().empty());
  CachedSequence b = small.start(1, {{0, 6}}, kBlock * 6);
  CHECK(small.book.take_admitted().at(0).position == kBlock * 5);
  small.cache.release(b);
  small.book.check_drained();
}

TEST_CASE("page book: an end of output that is given up before its copy is not copied") {
  Small small("tail");
  CachedSequence a = small.start(0, {{0, 5}}, kBlock * 2);
  small.cache.commit(a, kBlock * 2);
  for (std::int64_t b = 3; b <= 4; ++b) {  // two ends without a step between them
    REQUIRE(small.cache.grow(a, kBlock * b));
    small.cache.commit(a, kBlock * b);
  }
  const auto copies = small.book.take_point_copies();
  REQUIRE(copies.size() == 1);
  CHECK(copies[0].position == kBlock * 4);
}

TEST_CASE("page book: needing more than there is stops the program") {
  const auto holding = [](PageBookSizes sizes) {
    auto book = std::make_unique<PageBook>(sizes);
    book->admitted({.tag = 0});
    book->grown(0, 2);
    book->point_reserved(0, kBlock, PointReason::interval);
    return book;
  };
  const auto book = holding({2, 1, 1});
  CHECK(dies([&] { book->grown(0, 1); }));
  CHECK(dies([&] { book->point_reserved(0, kBlock * 2, PointReason::interval); }));
  CHECK(dies([&] { book->admitted({.tag = 1}); }));
  CHECK(dies([&] { book->check_drained(); }));
  CHECK_FALSE(dies([&] { book->check(); }));
  CHECK_FALSE(dies([&] { holding({3, 1, 1})->grown(0, 1); }));
  CHECK_FALSE(dies([&] {
    holding({2, 2, 1})->point_reserved(0, kBlock * 2, PointReason::interval);
  }));
  CHECK_FALSE(dies([&] { holding({2, 1, 2})->admitted({.tag = 1}); }));
}

TEST_CASE("page book: what does not run has no pages, and a book begins with an empty cache") {
  Small small("full");
  CHECK(dies([&] { (void)small.book.pages(0); }));
  CachedSequence a = small.start(3, {{0, 2}}, kBlock * 2);
  CHECK(small.book.pages(3).size() == 2);
  CHECK(dies([&] { (void)small.book.pages(0); }));
  PageBook other({20, 12, 4});
  CHECK(dies([&] { small.cache.observe(&other); }));
  small.cache.commit(a, kBlock * 2);
  small.cache.release(a);
  CHECK(dies([&] { (void)small.book.slot(3); }));
  CHECK(dies([&] { small.cache.observe(&other); }));
}

TEST_CASE("page book sizes: blocks, points beside them, running sequences") {
  struct Row {
    std::string policy;
    ToyCosts costs;
    PageBookSizes sizes;
  };
  const Row rows[] = {
      // 13 points of 7 and a block of 3 for every five of them (one kept, four being computed), and
      // one pinned for each of the four that run.
      {"checkpoint=64", {100, 3, 0, 7, 10}, {33, 13 + 4, 4}},
      {"tail", {100, 3, 0, 7, 10}, {33, 13 + 4, 4}},
      {"checkpoint=64", {100, 3, 0, 7, 40}, {33, 12 + 2, 2}},  // three for a block
      {"checkpoint=64", {100, 3, 0, 0, 0}, {33, 33 * 5 + 4, 4}},
      {"recompute", {100, 3, 5, 7, 10}, {33, 0, 4}},
      {"replay", {100, 3, 5, 7, 10}, {33, 0, 4}},
      {"full", {100, 3, 5, 7, 10}, {12, 0, 4}},
      // Windows of 6 blocks are kept; a step of 640 tokens ends 10 blocks and one more in each
      // sequence, and one is pinned for each.
      {"pool=0.2", {100, 3, 3, 7, 10, 0, 20}, {33, 6 + 10 + 4 + 4, 4}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.policy);
    CAPTURE(row.costs.running);
    const ToyLayout layout(row.costs);
    const auto policy = make_policy(row.policy, toy_geometry(), kBlock, {});
    const PageBookSizes sizes =
        page_book_sizes(layout, *policy, kBlock, {4, Tokens{640}, Tokens{10'000}, 0});
    CHECK(sizes.pages == row.sizes.pages);
    CHECK(sizes.points == row.sizes.points);
    CHECK(sizes.slots == row.sizes.slots);
  }
}

TEST_CASE("page book sizes: the largest number of blocks that an engine layout has room for") {
  for (const std::string layout : {"ideal", "vllm", "sglang"}) {
    for (const std::string policy_name : {"full", "checkpoint=1024", "reuse"}) {
      CAPTURE(layout);
      CAPTURE(policy_name);
      const auto policy = make_policy(policy_name, toy_geometry(kLayers), Tokens{256}, {});
      const Setting s{.layout = layout, .policy = policy_name, .blocks = 1000};
      const auto made = tight_layout(s, *policy);
      const PageBookSizes sizes = page_book_sizes(*made, *policy, Tokens{256}, s.limits);
      const auto fits = [&](const KindBytes& bytes) {
        return std::ranges::all_of(made->pools(), [&](const PoolSpec& pool) {
          return pool.bytes_of(bytes) <= pool.capacity.value;
        });
      };
      const bool window = policy->stores_window_of_every_token();
      CHECK(fits(made->blocks(0, sizes.pages, window)));
      CHECK_FALSE(fits(made->blocks(0, sizes.pages + 1, window)));
      CHECK(sizes.slots == 5);
      CHECK((sizes.points > 5) == (policy_name != "full"));
      if (policy_name == "reuse") {
        const auto one = made->point(Tokens{256}).total().value;
        CHECK((sizes.points - 5) * one <= point_budget(*made, policy->retention()));
        CHECK((sizes.points - 4) * one > point_budget(*made, policy->retention()));
      }
    }
  }
}

TEST_CASE("page book sizes: blocks that cost differently count as the cheapest of them") {
  // Of blocks of 64 tokens every second one completes an HCA entry.
  const ModelSpec model = toy_model(kLayers);
  const CacheGeometry geometry(model, kEntry);
  const LayoutContext context{geometry, model, kBlock, Bytes{10'000'000}, {}};
  const auto layout = make_layout("ideal", context);
  const auto policy = make_policy("recompute", geometry, kBlock, {});
  const std::int64_t cheap = layout->blocks(0, 1, false).total().value;
  REQUIRE(cheap < layout->blocks(1, 2, false).total().value);
  CHECK(page_book_sizes(*layout, *policy, kBlock, {4, Tokens{640}, Tokens{10'000}, 0}).pages ==
        10'000'000 / cheap);
}

}  // namespace
}  // namespace v4cap::exec
