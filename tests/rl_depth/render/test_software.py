"""The ray caster: where rays meet shapes, and what the pictures show."""

import numpy as np
import pytest

from rl_depth.render import choose_backend, frame, render_frames
from rl_depth.render.camera import cameras
from rl_depth.render.frames import band_height
from rl_depth.render.scene import BOX, CAPSULE, CYLINDER, ELLIPSOID, PLANE, SPHERE, Scene
from rl_depth.render.software import SoftwareRenderer, _Body

SIZE = (160, 120)
ROUND = (0.5, 1.0, 0.25)
_RAY = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])

SHAPES = """
<mujoco><worldbody>
  <geom type="plane" size="4 4 .1" rgba=".9 .9 .9 1"/>
  <geom type="sphere" size=".4" pos="-1.5 1 .5" rgba=".8 .2 .2 1"/>
  <geom type="ellipsoid" size=".5 .3 .2" pos="0 1 .5" euler="20 30 40" rgba=".2 .7 .2 1"/>
  <geom type="cylinder" size=".3 .4" pos="1.5 1 .5" euler="50 10 0" rgba=".2 .2 .8 1"/>
  <geom type="capsule" size=".2 .5" pos="-1.5 -1 .5" euler="60 0 30" rgba=".7 .6 .1 1"/>
  <geom type="box" size=".4 .3 .2" pos="0 -1 .5" euler="10 20 30" rgba=".1 .7 .7 1"/>
  <body name="body" pos="1.5 -1 .5"><freejoint/><geom type="capsule" size=".2 .4" rgba=".8 .4 .8 1"/></body>
</worldbody></mujoco>"""


def body(kind, size=ROUND, position=(0, 0, 0), mat=None):
    mat = np.eye(3) if mat is None else mat
    return _Body(kind, np.array(size), np.array(position, float), mat, np.ones(4), np.full(2, np.inf), False)


@pytest.mark.parametrize(
    ("kind", "reach"),
    [
        (SPHERE, (0.5, 0.5, 0.5)),
        (ELLIPSOID, ROUND),
        (BOX, ROUND),
        (CYLINDER, (0.5, 0.5, 1)),
        (CAPSULE, (0.5, 0.5, 1.5)),
    ],
)
def test_rays_along_the_axes_meet_a_shape_at_its_extent(kind, reach):
    position = np.array([3.0, -2, 5])
    near, far = body(kind, position=position).meet(position - 10 * _RAY, _RAY.astype(np.float32))
    np.testing.assert_allclose(near, 10 - np.array(reach), atol=1e-4)
    np.testing.assert_allclose(far, 10 + np.array(reach), atol=1e-4)


@pytest.mark.parametrize("kind", [SPHERE, ELLIPSOID, BOX, CYLINDER, CAPSULE])
def test_points_met_lie_on_the_surface_and_normals_point_along_its_gradient(kind):
    """Against a signed measure of the shape, by finite differences; in a turned frame, from far away."""
    rng = np.random.default_rng(0)
    mat = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    shape = body(kind, position=(1, 2, 3), mat=mat)
    origin = np.array([30.0, -20, 25])
    rays = (np.array([1, 2, 3]) + rng.uniform(-0.6, 0.6, (400, 3)) - origin).astype(np.float32)
    near, far = shape.meet(origin, rays)
    hit = near < far
    assert 40 < hit.sum() < 400
    points = origin + near[hit, None] * rays[hit]
    local = (points - shape.position) @ mat
    np.testing.assert_allclose(measure(kind, local), 0, atol=2e-4)
    normals, _ = shape.surface(points.astype(np.float32), rays[hit], near[hit])
    step = 1e-5
    slopes = [(measure(kind, local + step * e) - measure(kind, local - step * e)) / (2 * step) for e in np.eye(3)]
    slope = np.stack(slopes, axis=-1) @ mat.T
    slope /= np.linalg.norm(slope, axis=1, keepdims=True)
    agree = (normals * slope).sum(axis=1) > 0.999
    assert agree.mean() > 0.97  # on an edge either face is right


def measure(kind, points):
    """Zero on the surface, positive outside."""
    x, y, z = points.T
    across = np.hypot(x, y)
    match kind:
        case 2:
            return np.linalg.norm(points, axis=1) - 0.5
        case 4:
            return np.linalg.norm(points / ROUND, axis=1) - 1
        case 6:
            return (np.abs(points) - ROUND).max(axis=1)
        case 5:
            return np.maximum(across - 0.5, np.abs(z) - 1)
    return np.hypot(across, z - np.clip(z, -1, 1)) - 0.5


def test_a_ray_that_passes_by_meets_nothing_and_a_floor_is_met_from_above_only():
    near, far = body(SPHERE).meet(np.array([-5.0, 0.51, 0]), np.array([[1, 0, 0]], np.float32))
    assert near > far
    floor = body(PLANE, size=(0, 0, 1))
    rays = np.array([[1, 0, -1], [1, 0, 1]], np.float32)
    near, _ = floor.meet(np.array([0.0, 0, 2]), rays)
    assert near[0] == pytest.approx(2) and np.isinf(near[1])


def test_goal_robot_and_walls_are_seen_where_they_are(make_clip):
    clip = make_clip(frames=3, success=np.array([0, 0, 1], bool))
    scene = Scene(clip)
    camera = cameras(scene, SIZE)[0]
    pictures = list(render_frames(clip, SIZE, "software"))
    assert pictures[0].shape == (SIZE[1] + band_height(SIZE), SIZE[0], 3) and pictures[0].dtype == np.uint8

    def colour(picture, *point):
        (column, row), _ = camera.project(np.array(point), SIZE)
        return picture[int(row), int(column)].astype(int)

    for number, x in enumerate((-1.0, -0.5, 0.0)):
        red, _, blue = colour(pictures[number], x, x, 0.4)
        assert blue > red + 60
    red, green, blue = colour(pictures[0], 1, 1, 0.5)
    assert red > green + 60 and red > blue  # goal ahead: magenta
    red, green, blue = colour(pictures[2], 1, 1, 0.5)
    assert green > red + 40 and green > blue  # reached: green
    wall, floor = colour(pictures[0], 0, 2, 0.6), colour(pictures[0], 1, -1, 0)
    assert floor.min() > wall.max() + 40


def test_the_robot_throws_a_shadow_away_from_the_sun(make_clip):
    clip = make_clip(frames=1)
    camera = cameras(Scene(clip), SIZE)[0]
    picture = next(render_frames(clip, SIZE, "software")).astype(int)
    columns, rows = camera.project(np.array([[-0.75, -0.9, 0], [-1.3, -1.15, 0]]), SIZE)[0].astype(int).T
    shaded, sunny = picture[rows[0], columns[0]], picture[rows[1], columns[1]]
    assert (sunny > shaded + 40).all()


def test_what_stands_still_is_cast_once(make_clip, monkeypatch):
    count = []
    cast = SoftwareRenderer._cast
    monkeypatch.setattr(
        SoftwareRenderer, "_cast", lambda self, body, *rest: count.append(body) or cast(self, body, *rest)
    )
    list(render_frames(make_clip(frames=5), SIZE, "software"))
    assert sum(not body.moving for body in count) == 5  # floor and four walls
    assert sum(body.moving for body in count) == 5  # the point, once a frame


@pytest.mark.parametrize("view", ["top", "follow"])
def test_both_ways_of_drawing_show_the_same(make_clip, view):
    backend = choose_backend()
    if backend == "software":
        pytest.skip("no OpenGL here")
    qpos = np.tile([1.5, -1, 0.6, 0.9, 0.3, 0.1, 0.3], (2, 1))
    qpos[1, 0] += 0.3
    clip = make_clip(frames=2, xml=SHAPES, qpos=qpos, view=view, goal=np.array([0, 0, 0.5]))
    ours, theirs = (list(render_frames(clip, (320, 240), way))[1].astype(int) for way in ("software", backend))
    differ = np.abs(ours - theirs).max(axis=2) > 50
    assert differ.mean() < 0.03  # edges, and the rim of the marker


def test_a_state_of_an_environment_is_drawn_without_text():
    import jax

    from rl_depth import envs

    env = envs.make("point_maze")
    picture = frame(env, env.reset(jax.random.key(0)), width=120, height=90)
    assert picture.shape == (90, 120, 3) and picture.std() > 20
