"""One rclpy context for the tests of a process, and nodes that are spun in a thread. ROS is imported by who asks for them."""

import threading

import pytest


@pytest.fixture(scope="session")
def ros_context(process_domain):
    import rclpy

    rclpy.init(domain_id=process_domain)
    yield
    rclpy.try_shutdown()


class Spinner:
    """Spins nodes in a thread of its own."""

    def __init__(self, threads: int) -> None:
        from rclpy.executors import MultiThreadedExecutor

        self.executor = MultiThreadedExecutor(num_threads=threads)
        self.nodes = []
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.error, self.closing = None, False
        self.thread.start()

    def _spin(self) -> None:
        from pan3d_ros.platform.rclpy_private import spin

        try:
            spin(self.executor, self._note)
        except Exception as error:  # noqa: BLE001 (shown by the test that owns the node)
            # rclpy trips over itself when an executor is shut down from another thread; that is no fault of the nodes.
            self.error = None if self.closing else error

    def _note(self, error) -> None:
        self.error = None if self.closing else error

    def add(self, node):
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def close(self) -> None:
        self.closing = True
        self.executor.shutdown()
        self.thread.join(10)
        for node in self.nodes:
            node.destroy_node()
        assert self.error is None, f"the executor stopped: {self.error!r}"


@pytest.fixture
def spinner(ros_context, request):
    spinner = Spinner(getattr(request, "param", 6))  # threads
    yield spinner
    spinner.close()
