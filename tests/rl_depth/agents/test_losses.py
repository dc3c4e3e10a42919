"""Losses against values worked by hand and against a slow reference in float64."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_depth.agents import losses

NAMES = ("fwd_infonce", "bwd_infonce", "sym_infonce", "binary_nce")


def reference_energy(name: str, phi: np.ndarray, psi: np.ndarray) -> float:
    if name == "norm":
        return -math.sqrt(sum((a - b) ** 2 for a, b in zip(phi, psi, strict=True)))
    if name == "l2":
        return -sum((a - b) ** 2 for a, b in zip(phi, psi, strict=True))
    inner = sum(a * b for a, b in zip(phi, psi, strict=True))
    if name == "dot":
        return inner
    return inner / math.sqrt(sum(a * a for a in phi) * sum(b * b for b in psi))


def reference_loss(name: str, logits: np.ndarray, penalty: float) -> float:
    n = len(logits)
    total = 0.0
    for i in range(n):
        row = math.log(sum(math.exp(logits[i, j]) for j in range(n)))
        column = math.log(sum(math.exp(logits[j, i]) for j in range(n)))
        if name in ("fwd_infonce", "sym_infonce"):
            total += (row - logits[i, i]) / n
        if name in ("bwd_infonce", "sym_infonce"):
            total += (column - logits[i, i]) / n
        if name == "binary_nce":
            for j in range(n):
                p = 1 / (1 + math.exp(-logits[i, j]))
                total -= (math.log(p) if i == j else math.log(1 - p)) / n**2
        total += penalty * row**2 / n
    return total


@pytest.mark.parametrize("name", losses.ENERGIES)
def test_energy_agrees_with_the_reference(name):
    phi, psi = np.random.default_rng(0).normal(size=(2, 5, 7))
    found = losses.pairwise_energy(name, jnp.array(phi, jnp.float32), jnp.array(psi, jnp.float32))
    wanted = [[reference_energy(name, a, b) for b in psi] for a in phi]
    np.testing.assert_allclose(found, wanted, rtol=2e-5)
    aligned = losses.energy(name, jnp.array(phi, jnp.float32), jnp.array(psi, jnp.float32))
    np.testing.assert_allclose(aligned, np.diagonal(wanted), rtol=2e-5)


def test_energies_by_hand():
    phi, psi = jnp.array([3.0, 4.0]), jnp.array([0.0, 1.0])
    values = {name: float(losses.energy(name, phi, psi)) for name in losses.ENERGIES}
    np.testing.assert_allclose(values["norm"], -math.sqrt(18), rtol=1e-6)
    np.testing.assert_allclose(values["l2"], -18)
    np.testing.assert_allclose(values["dot"], 4)
    np.testing.assert_allclose(values["cosine"], 0.8, rtol=1e-6)


@pytest.mark.parametrize("name", losses.ENERGIES)
def test_energy_has_a_finite_gradient_where_representations_meet(name):
    same = jnp.zeros(4) if name == "cosine" else jnp.ones(4)
    grad = jax.grad(lambda x: losses.energy(name, x, same))(same)
    assert np.all(np.isfinite(grad))


@pytest.mark.parametrize("name", NAMES)
def test_contrastive_loss_agrees_with_the_reference(name):
    logits = np.random.default_rng(1).normal(size=(6, 6)) * 2
    loss, metrics = losses.contrastive_loss(name, jnp.array(logits, jnp.float32), 0.1)
    np.testing.assert_allclose(loss, reference_loss(name, logits, 0.1), rtol=1e-5)
    np.testing.assert_allclose(metrics["infonce"], reference_loss("fwd_infonce", logits, 0.0), rtol=1e-5)
    np.testing.assert_allclose(metrics["categorical_accuracy"], np.mean(logits.argmax(1) == np.arange(6)))
    np.testing.assert_allclose(metrics["logits_pos"], np.diagonal(logits).mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["logits_neg"], logits[~np.eye(6, dtype=bool)].mean(), rtol=1e-4)


def test_contrastive_losses_by_hand():
    """Logits log([[2, 1], [1, 3]]): rows sum to 3 and 4, columns too."""
    logits = jnp.log(jnp.array([[2.0, 1.0], [1.0, 3.0]]))
    infonce = (math.log(3 / 2) + math.log(4 / 3)) / 2
    found = {name: float(losses.contrastive_loss(name, logits, 0.0)[0]) for name in NAMES}
    np.testing.assert_allclose(found["fwd_infonce"], infonce, rtol=1e-6)
    np.testing.assert_allclose(found["bwd_infonce"], infonce, rtol=1e-6)
    np.testing.assert_allclose(found["sym_infonce"], 2 * infonce, rtol=1e-6)
    # sigmoid(log x) = x / (1 + x): positives 2/3 and 3/4, negatives 1 - 1/2 twice.
    binary = -(math.log(2 / 3) + math.log(3 / 4) + 2 * math.log(1 / 2)) / 4
    np.testing.assert_allclose(found["binary_nce"], binary, rtol=1e-6)
    penalised = float(losses.contrastive_loss("fwd_infonce", logits, 0.1)[0])
    np.testing.assert_allclose(penalised, infonce + 0.1 * (math.log(3) ** 2 + math.log(4) ** 2) / 2, rtol=1e-6)


def test_forward_and_backward_infonce_differ_by_a_transpose():
    logits = jax.random.normal(jax.random.key(0), (5, 5))
    forward = losses.contrastive_loss("fwd_infonce", logits, 0.0)[0]
    backward = losses.contrastive_loss("bwd_infonce", logits.T, 0.0)[0]
    np.testing.assert_allclose(forward, backward, rtol=1e-6)


def test_actor_and_temperature_losses_by_hand():
    log_prob, energies = jnp.array([-1.0, -3.0]), jnp.array([-2.0, -4.0])
    loss, metrics = losses.actor_loss(log_prob, energies, jnp.float32(0.5))
    np.testing.assert_allclose(loss, 0.5 * -2 + 3)
    np.testing.assert_allclose(metrics["entropy"], 2)
    loss, metrics = losses.temperature_loss(jnp.log(0.5), log_prob, -1.0)
    np.testing.assert_allclose(loss, 0.5 * (2 + 1), rtol=1e-6)
    np.testing.assert_allclose(metrics["temperature"], 0.5, rtol=1e-6)


def test_temperature_rises_only_while_entropy_is_below_its_target():
    def slope(target: float) -> float:
        return float(jax.grad(lambda t: losses.temperature_loss(t, jnp.array([-1.0]), target)[0])(0.0))

    assert slope(target=2.0) < 0 < slope(target=0.5)


def test_sampled_actions_have_the_stated_density():
    """The density of tanh(u) integrates to one over (-1, 1) and matches a histogram of draws."""
    mean, raw = 0.4, 0.2
    outputs = jnp.tile(jnp.array([mean, raw]), (200_000, 1))
    actions, log_prob = losses.sample_action(outputs, jax.random.key(0))
    actions, density = np.asarray(actions[:, 0], float), np.exp(np.asarray(log_prob, float))
    std = math.exp(-5 + 3.5 * (math.tanh(raw) + 1))
    u = np.arctanh(np.clip(actions, -1 + 1e-7, 1 - 1e-7))
    inside = np.abs(actions) < 0.999
    gaussian = np.exp(-0.5 * ((u - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
    np.testing.assert_allclose(density[inside], (gaussian / (1 - actions**2))[inside], rtol=2e-2)
    # E[1/p(a)] over an interval is its length: the draws follow the density.
    between = np.abs(actions) < 0.9
    np.testing.assert_allclose(np.mean(between / density), 1.8, rtol=2e-2)


def test_log_std_stays_in_its_bounds():
    outputs = jnp.concatenate([jnp.zeros((3, 1)), jnp.array([[-100.0], [0.0], [100.0]])], axis=1)
    log_std = losses.policy_distribution(outputs)[1]
    np.testing.assert_allclose(log_std[:, 0], [-5.0, -1.5, 2.0])


def test_the_density_of_a_drawn_action_is_the_one_that_it_was_drawn_with():
    outputs = jax.random.normal(jax.random.key(0), (50, 4))
    action, log_prob = losses.sample_action(outputs, jax.random.key(1))
    inside = (jnp.abs(action) < 0.99).all(axis=-1)
    np.testing.assert_allclose(losses.log_density(outputs, action)[inside], log_prob[inside], atol=1e-2)
    assert np.isfinite(losses.log_density(outputs, jnp.ones((50, 2)))).all()


def test_the_bound_of_the_noise_by_hand():
    loss, metrics = losses.noise_loss(jnp.array([-1.0, -3.0]), jnp.array([2.0, 4.0]), 0.5)
    assert loss == metrics["noise_loss"] == 0.5 * 3 + 2 and metrics["noise_kl"] == 3


def test_the_density_with_an_epsilon_is_that_of_jaxgcrl():
    """``logpdf(u) - log(1 - tanh(u)^2 + 1e-6)``, which differs from the exact one near the bounds."""
    outputs = jnp.array([[0.3, 2.0, 6.0, 0.0, -0.4, -3.0]])
    key = jax.random.key(2)
    action, log_prob = losses.sample_action(outputs, key, 1e-6)
    mean, log_std = losses.policy_distribution(outputs)
    u = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
    theirs = jax.scipy.stats.norm.logpdf(u, loc=mean, scale=jnp.exp(log_std)) - jnp.log(1 - jnp.tanh(u) ** 2 + 1e-6)
    np.testing.assert_allclose(log_prob, theirs.sum(-1), rtol=1e-6)
    exact_action, exact = losses.sample_action(outputs, key)
    np.testing.assert_array_equal(action, exact_action)
    assert exact - log_prob > 0.01
    inside = outputs.at[:, 2].set(0.1)
    both = [losses.sample_action(inside, key, epsilon)[1] for epsilon in (None, 1e-6)]
    np.testing.assert_allclose(*both, rtol=1e-4)
