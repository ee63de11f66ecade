"""Words to a placed object: an arm sees a table by four colour cameras, picks what is meant and puts it where it is asked to.

python examples/manipulation/pick_with_an_arm.py "put the mug on the table" --seed 1
"""

from __future__ import annotations

import argparse

from pan3d_core import PipelineConfig, build_engine
from pan3d_core.picking import PickerConfig, build_picker, read_wish
from pan3d_sim.arm import ARM
from pan3d_sim.cell.arm_robot import ArmRobot
from pan3d_sim.cell.robot_cell import RobotCell


def main(arguments: list[str] | None = None) -> None:
    """Build a table, ask, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wish", nargs="?", default="put the mug on the table", help="what to do (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the table (default: %(default)s)")
    options = parser.parse_args(arguments)

    config = PipelineConfig.from_dict({"workspace": {"support_height_m": 0.0}})  # world z of the table, metres
    engine = build_engine(config.model)
    with RobotCell(options.seed, num_objects=5, arm=ARM) as cell:
        robot = ArmRobot(cell)  # any other robot: pan3d_core.picking.PickingRobot says what is asked of it
        picker = build_picker(robot, robot.urdf, engine, PickerConfig(config))
        report = picker.fulfil(read_wish(options.wish))
        print(f"{report.outcome.value}: {report.message}")
        for attempt in report.attempts:
            if attempt.motion is not None:
                seconds = attempt.motion.duration_s
                print(f"  planned in {attempt.plan_s:.1f} s, moved for {seconds:.0f} s, looked for {attempt.looks_s:.1f} s")
        print(f"  it touched what it should not: {', '.join(map(str, robot.touches.collisions())) or 'nothing'}")


if __name__ == "__main__":
    main()
