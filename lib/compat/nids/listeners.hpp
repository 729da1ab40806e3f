// Who is told what: the callbacks a program registered, and per connection those that listen to it.
#pragma once

#include <vector>

#include "compat/nids/stream.hpp"

namespace flowloom::nids {

/// Callbacks of one kind, last registered first. One may leave while they are being called.
class CallbackList {
 public:
  using Callback = void (*)();

  CallbackList() = default;
  CallbackList(const CallbackList&) = delete;
  CallbackList& operator=(const CallbackList&) = delete;
  ~CallbackList() { clear(); }

  void add(Callback callback);  ///< a second registration of the same changes nothing
  void remove(Callback callback);
  void clear();
  /// Frees what remove() kept for a walk in progress. Preconditions: none is.
  void sweep();

  [[nodiscard]] proc_node* head() const { return head_; }

 private:
  proc_node* head_ = nullptr;
  std::vector<proc_node*> removed_;
};

class Listeners {
 public:
  Listeners() = default;
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;
  ~Listeners();

  /// Offers a connection that is established to the callbacks; those that want a part of it listen
  /// from now on. nids_state is NIDS_JUST_EST meanwhile.
  void offer(Stream& stream, const CallbackList& callbacks);

  /// Calls the listeners that wait for `whatto`, and notes what they want from now on.
  void call(Stream& stream, char whatto);

  /// Calls all listeners, with nids_state as it stands.
  void announce(Stream& stream);

  /// Lets listeners go that want nothing any more.
  void prune(Stream& stream);

  /// The connection ends without a word.
  void release(Stream& stream);

 private:
  void add(Stream& stream, void (*item)(), void* data, char whatto);
  void free_node(Stream& stream, lurker_node* node);

  lurker_node* free_ = nullptr;
};

}  // namespace flowloom::nids
