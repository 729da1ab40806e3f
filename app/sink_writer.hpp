// Between the engine and the sinks: hands the inlet's messages to the writers and their memory
// back, begins new files when it is time, and tells the control thread how far the writers are.
#pragma once

#include <atomic>
#include <optional>
#include <vector>

#include "host/nudges.hpp"
#include "runtime/engine.hpp"
#include "sinks/pack_sink.hpp"
#include "sinks/record_file.hpp"
#include "sinks/writer_pipeline.hpp"

namespace flowloom {

class SinkWriter final : public MessageWriter, MessageOwner {
 public:
  using StatusBox = ReportBox<std::vector<WriterStatus>>;

  SinkWriter(WriterPipeline& pipeline, const RotateSettings& rotate, Pace pace);

  void write(std::vector<StreamMessage*>& messages, WriterInlet& inlet) override;
  void idle() override { pipeline_.flush(); }
  void tend() override;
  void finish() override { pipeline_.finish(); }

  /// The run is to end: a write that does not return is interrupted. From any thread.
  void hasten();

  /// Asked by the control thread.
  StatusBox& statuses() { return statuses_; }

 private:
  void give_back(std::span<StreamMessage* const> messages) override;

  WriterPipeline& pipeline_;
  Duration rotate_every_{};  ///< of this machine's clock; 0: never
  bool started_ = false;
  unsigned rotations_done_ = 0;
  WriterInlet* inlet_ = nullptr;
  StatusBox statuses_;
  std::optional<Nudges> nudges_;          ///< of the writer core
  std::atomic<Nudges*> hastened_{nullptr};  ///< the same, once there
};

}  // namespace flowloom
