"""The library as ROS 2 nodes, and recorded topics without ROS; knows the library, its evaluation and the simulated cell."""
