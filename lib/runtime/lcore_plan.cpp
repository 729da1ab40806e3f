#include "runtime/lcore_plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.hpp"

namespace flowloom {

namespace {

// Hands out lcores, near the ports first and the main lcore last: it also runs control.
class LcoreDealer {
 public:
  LcoreDealer(const std::vector<LcoreFacts>& lcores, int socket) : order_(lcores) {
    const unsigned main = lcores.front().id;
    std::stable_sort(order_.begin(), order_.end(), [&](const auto& a, const auto& b) {
      return rank(a, main, socket) < rank(b, main, socket);
    });
  }

  /// The next free lcore; where all are taken, they are dealt again.
  unsigned deal() { return order_[next_++ % order_.size()].id; }

 private:
  static int rank(const LcoreFacts& lcore, unsigned main, int socket) {
    if (lcore.id == main) return 2;
    return socket >= 0 && lcore.socket != socket ? 1 : 0;
  }

  std::vector<LcoreFacts> order_;
  std::size_t next_ = 0;
};

// Memory of the rings and the pool belongs near the first port that knows where it is.
int socket_of(const std::vector<PortQueues>& ports) {
  for (const PortQueues& port : ports) {
    if (port.socket >= 0) return port.socket;
  }
  return -1;
}

/// Whether `workers` pollers can each own the flows of what they poll. Symmetric ports must have
/// a queue for every worker, so that the two fibres of a tap meet at the same one.
bool spreads_over(const std::vector<PortQueues>& ports, unsigned workers) {
  return std::all_of(ports.begin(), ports.end(), [&](const PortQueues& port) {
    switch (port.spread) {
      case QueueSpread::Together:
        return workers == 1;
      case QueueSpread::Symmetric:
        return port.queues_max >= workers;
      case QueueSpread::EndlessFiles:
      case QueueSpread::Independent:
        return true;
    }
    return false;
  });
}

std::uint16_t queues_used(const PortQueues& port, PlanShape shape, unsigned workers) {
  const auto wanted = static_cast<std::uint16_t>(std::min(workers, 0xffffu));
  switch (port.spread) {
    case QueueSpread::Together:
    case QueueSpread::EndlessFiles:
      return port.queues_max;
    case QueueSpread::Independent:
      return std::min(port.queues_max, wanted);
    case QueueSpread::Symmetric:
      return shape == PlanShape::RunToCompletion ? wanted : std::uint16_t{1};
  }
  return 1;
}

// One poller takes every queue of every port, ports in order: ties of a merge fall to the first.
std::vector<QueueRef> all_queues(const PlanRequest& request, const LcorePlan& plan) {
  std::vector<QueueRef> all;
  for (std::size_t p = 0; p < request.ports.size(); ++p) {
    for (std::uint16_t q = 0; q < plan.queues[p]; ++q) all.push_back({request.ports[p].port, q});
  }
  return all;
}

// Queue q of every port goes to poller q modulo workers; pollers without a queue do not exist.
void deal_queues(const PlanRequest& request, unsigned workers, LcoreDealer& dealer,
                 LcorePlan& plan) {
  for (unsigned w = 0; w < workers; ++w) {
    LcorePlan::Poller poller;
    for (std::size_t p = 0; p < request.ports.size(); ++p) {
      for (unsigned q = w; q < plan.queues[p]; q += workers) {
        poller.queues.push_back({request.ports[p].port, static_cast<std::uint16_t>(q)});
      }
    }
    if (poller.queues.empty()) continue;
    poller.lcore = dealer.deal();
    plan.workers.push_back(poller.lcore);
    plan.pollers.push_back(std::move(poller));
  }
}

}  // namespace

LcorePlan make_lcore_plan(const PlanRequest& request) {
  FLOWLOOM_CHECK(!request.lcores.empty() && !request.ports.empty());
  const auto spare = static_cast<unsigned>(std::max<std::size_t>(request.lcores.size() - 1, 1));
  const unsigned workers = request.workers != 0 ? request.workers : spare;
  LcoreDealer dealer(request.lcores, socket_of(request.ports));
  LcorePlan plan;
  plan.control = request.lcores.front().id;
  plan.shape =
      spreads_over(request.ports, workers) ? PlanShape::RunToCompletion : PlanShape::Steered;
  for (const PortQueues& port : request.ports) {
    plan.queues.push_back(queues_used(port, plan.shape, workers));
  }
  if (workers == 1 || plan.shape == PlanShape::Steered) {
    plan.pollers.push_back({dealer.deal(), all_queues(request, plan)});
  }
  if (plan.shape == PlanShape::Steered) {
    for (unsigned w = 0; w < workers; ++w) plan.workers.push_back(dealer.deal());
  } else if (workers == 1) {
    plan.workers.push_back(plan.pollers.front().lcore);
  } else {
    deal_queues(request, workers, dealer, plan);
  }
  if (request.writer == WriterCore::Own) plan.writer = dealer.deal();
  return plan;
}

std::vector<std::string> describe(const LcorePlan& plan, WriterCore writer) {
  std::vector<std::string> lines;
  for (const LcorePlan::Poller& poller : plan.pollers) {
    std::string queues;
    for (const QueueRef& ref : poller.queues) {
      queues += fmt::format(" {}.{}", ref.port, ref.queue);
    }
    const bool works = plan.shape == PlanShape::RunToCompletion;
    lines.push_back(fmt::format("lcore {}: {} of port.queue{}", poller.lcore,
                                works ? "worker" : "poller", queues));
  }
  if (plan.shape == PlanShape::Steered) {
    for (const unsigned lcore : plan.workers)
      lines.push_back(fmt::format("lcore {}: worker", lcore));
  }
  if (writer == WriterCore::Own) lines.push_back(fmt::format("lcore {}: writer", plan.writer));
  lines.push_back(fmt::format("lcore {}: control", plan.control));
  return lines;
}

}  // namespace flowloom
