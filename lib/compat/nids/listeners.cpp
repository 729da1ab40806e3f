#include "compat/nids/listeners.hpp"

#include <cstdlib>
#include <new>
#include <utility>

namespace flowloom::nids {

void CallbackList::add(Callback callback) {
  for (const proc_node* node = head_; node != nullptr; node = node->next) {
    if (node->item == callback) return;
  }
  head_ = new proc_node{callback, head_};
}

void CallbackList::remove(Callback callback) {
  for (proc_node** at = &head_; *at != nullptr; at = &(*at)->next) {
    if ((*at)->item != callback) continue;
    proc_node* const gone = *at;
    *at = gone->next;
    removed_.push_back(gone);
    return;
  }
}

void CallbackList::clear() {
  while (head_ != nullptr) delete std::exchange(head_, head_->next);
  sweep();
}

void CallbackList::sweep() {
  for (const proc_node* node : removed_) delete node;
  removed_.clear();
}

namespace {

/// What callbacks raise and lower.
struct Wishes {
  char client;
  char server;
  char client_urgent;
  char server_urgent;

  explicit Wishes(const tcp_stream& seen)
      : client(seen.client.collect),
        server(seen.server.collect),
        client_urgent(seen.client.collect_urg),
        server_urgent(seen.server.collect_urg) {}

  /// Bits of those that are lower here than in `other`.
  [[nodiscard]] char lower_than(const Wishes& other) const {
    return static_cast<char>((client < other.client ? kClientData : 0) |
                             (server < other.server ? kServerData : 0) |
                             (client_urgent < other.client_urgent ? kClientUrgent : 0) |
                             (server_urgent < other.server_urgent ? kServerUrgent : 0));
  }
};

void invoke(Stream& stream, lurker_node& listener) {
  reinterpret_cast<TcpCallback>(listener.item)(&stream.seen, &listener.data);
}

/// With one_loop_less a half belongs to one callback: a second one's wish is undone.
void undo_second_wish(half_stream& half, char before, char bit, char& whatto) {
  if (half.collect < 2) return;
  half.collect = before;
  whatto = static_cast<char>(whatto & ~bit);
}

}  // namespace

Listeners::~Listeners() {
  while (free_ != nullptr) delete std::exchange(free_, free_->next);
}

void Listeners::offer(Stream& stream, const CallbackList& callbacks) {
  for (const proc_node* node = callbacks.head(); node != nullptr; node = node->next) {
    const Wishes before(stream.seen);
    void* data = nullptr;
    reinterpret_cast<TcpCallback>(node->item)(&stream.seen, &data);
    if (stream.doomed) return;
    char whatto = before.lower_than(Wishes(stream.seen));
    if (nids_params.one_loop_less != 0) {
      undo_second_wish(stream.seen.client, before.client, kClientData, whatto);
      undo_second_wish(stream.seen.server, before.server, kServerData, whatto);
    }
    if (whatto != 0) add(stream, node->item, data, whatto);
  }
}

void Listeners::call(Stream& stream, char whatto) {
  for (lurker_node* i = stream.seen.listeners; i != nullptr; i = i->next) {
    if ((i->whatto & whatto) == 0) continue;
    const Wishes before(stream.seen);
    invoke(stream, *i);
    if (stream.doomed) return;
    const Wishes after(stream.seen);
    const int wanted = i->whatto | before.lower_than(after);
    i->whatto = static_cast<char>(wanted & ~after.lower_than(before));
  }
}

void Listeners::announce(Stream& stream) {
  for (lurker_node* i = stream.seen.listeners; i != nullptr && !stream.doomed; i = i->next) {
    invoke(stream, *i);
  }
}

void Listeners::prune(Stream& stream) {
  for (lurker_node** at = &stream.seen.listeners; *at != nullptr;) {
    lurker_node* const node = *at;
    if (node->whatto != 0) {
      at = &node->next;
      continue;
    }
    *at = node->next;
    free_node(stream, node);
  }
}

void Listeners::release(Stream& stream) {
  while (stream.seen.listeners != nullptr) {
    lurker_node* const node = stream.seen.listeners;
    stream.seen.listeners = node->next;
    free_node(stream, node);
  }
}

void Listeners::add(Stream& stream, void (*item)(), void* data, char whatto) {
  lurker_node* node = &stream.first_listener;
  if (stream.listens_in_place) {
    node = free_ == nullptr ? new lurker_node{} : std::exchange(free_, free_->next);
  } else {
    stream.listens_in_place = true;
  }
  *node = {item, data, whatto, stream.seen.listeners};
  stream.seen.listeners = node;
}

void Listeners::free_node(Stream& stream, lurker_node* node) {
  if (node == &stream.first_listener) {
    stream.listens_in_place = false;
    return;
  }
  node->next = free_;
  free_ = node;
}

}  // namespace flowloom::nids
