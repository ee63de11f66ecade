// Asks the perception node for an object in words, and prints where it is and how to grasp it: ask "the red mug"

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include "pan3d_interfaces/msg/error_code.hpp"
#include "pan3d_interfaces/srv/segment_object.hpp"
#include "rclcpp/rclcpp.hpp"

using pan3d_interfaces::msg::ErrorCode;
using pan3d_interfaces::srv::SegmentObject;
using namespace std::chrono_literals;

int main(int argc, char ** argv)
{
  rclcpp::init(argc, argv);
  auto node = std::make_shared<rclcpp::Node>("ask");
  auto client = node->create_client<SegmentObject>("/segment_object");
  if (!client->wait_for_service(30s)) {
    std::fprintf(stderr, "/segment_object is not there: does the perception node run?\n");
    return 1;
  }

  auto request = std::make_shared<SegmentObject::Request>();
  request->prompt = argc > 1 ? argv[1] : "the mug";
  request->max_grasps = 3;  // an answer from views that are taken from now on
  auto future = client->async_send_request(request);
  if (rclcpp::spin_until_future_complete(node, future, 60s) != rclcpp::FutureReturnCode::SUCCESS) {
    std::fprintf(stderr, "no answer\n");
    return 1;
  }

  const auto answer = future.get();
  if (answer->error_code == ErrorCode::NOT_FOUND) {
    std::printf("nothing here fits: %s\n", answer->message.c_str());
  } else if (!answer->success) {
    std::printf("could not look (%u): %s\n", static_cast<unsigned>(answer->error_code), answer->message.c_str());
  } else {
    const auto & object = answer->instances.instances.front();
    std::printf(
      "object %u, %s, at %+.3f %+.3f %+.3f m of %s\n", static_cast<unsigned>(object.id), object.class_name.c_str(),
      object.centroid.x, object.centroid.y, object.centroid.z, answer->instances.header.frame_id.c_str());
    for (const auto & grasp : answer->grasps) {
      std::printf("  quality %.2f, opened %.0f mm\n", grasp.quality, 1000.0 * static_cast<double>(grasp.opening));
    }
  }
  rclcpp::shutdown();
  return 0;
}
