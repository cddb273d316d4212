"""Sampling from the reference, from named copies, and from mixtures of two models."""

import copy

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel

from charter.data.packing import pack
from charter.engines.base import Mixture, Sampling
from charter.engines.fallback_mixture import PlainMixer
from charter.engines.local import LocalEngine
from charter.engines.mixture import geometric
from charter.engines.sample import sample_prompts
from charter.engines.scripted import ScriptedEngine
from charter.errors import TrainingFault, UserError
from charter.models import blocks, plain
from charter.models.policy import Policy, adapter_off
from charter.models.score import hidden_states, is_llama_style, score
from charter.testing.tiny import tiny_model, tiny_tokenizer
from charter.types import Completion, Context, Group, Sample

TOKENIZER = tiny_tokenizer()
SAMPLED = Sampling(temperature=0.8, max_completion_length=20, seed=5)


def contexts(count=7, longest=40, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Context(token_ids=tuple(rng.integers(0, 256, length).tolist()))
        for length in rng.integers(1, longest, count)
    ]


def lora(seed=0):
    torch.manual_seed(seed)
    model = get_peft_model(tiny_model(seed), LoraConfig(r=4, target_modules="all-linear"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    return model.eval()


def gpt2(seed):
    torch.manual_seed(seed)
    config = GPT2Config(vocab_size=258, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.3)
    return GPT2LMHeadModel(config).eval()


def engine(model, **options):
    return LocalEngine(model, TOKENIZER, **{"compute_dtype": torch.float32, "max_rows": 6, **options})


def completions(groups):
    return [sample.completion for group in groups for sample in group.samples]


def ids_of(groups):
    return [c.token_ids for c in completions(groups)]


def recorded(groups):
    return torch.tensor([logp for c in completions(groups) for logp in c.logps])


def logits_U(model, packed):
    """The scoring forward's, over the whole vocabulary."""
    if not is_llama_style(model):
        return plain.logits(model, packed).double()
    return (hidden_states(model, packed, torch.float32) @ blocks.head_weight(model).T).double()


@torch.no_grad()
def recomputed(groups, policy, other, coef, temperature):
    """Log-probs of the mixture from the two models' own forwards, over the whole vocabulary."""
    packed = pack([s for group in groups for s in group.samples])
    with policy as model:
        first_U = torch.log_softmax(logits_U(model, packed) / temperature, -1)
    with other as model:
        second_U = torch.log_softmax(logits_U(model, packed) / temperature, -1)
    mixed_U = torch.log_softmax((1 - coef) * first_U + coef * second_U, -1)
    labels_U = torch.from_numpy(packed.label_U)
    return mixed_U.gather(1, labels_U[:, None])[:, 0][torch.from_numpy(packed.unique_N)].float()


class As:
    """A model as it is, where one with its adapter off could stand."""

    def __init__(self, model):
        self.model = model

    def __enter__(self):
        return self.model

    def __exit__(self, *_):
        pass


# -- mixtures -------------------------------------------------------------------


@pytest.mark.parametrize("coef", [0.125, 0.5, 0.9])
def test_log_probs_of_a_mixture_with_the_adapter_off_are_those_of_both_scoring_forwards(coef):
    model = lora()
    groups = engine(model).generate(contexts(), 3, SAMPLED, Mixture(coef))
    want = recomputed(groups, As(model), adapter_off(model), coef, SAMPLED.temperature)
    torch.testing.assert_close(recorded(groups), want, atol=1e-5, rtol=1e-5)
    assert {c.sampled_by for c in completions(groups)} == {f"mixture:{coef}"}
    # It is neither of the two: the test would see a mixture that forgot one.
    for only in (As(model), adapter_off(model)):
        assert (recomputed(groups, only, As(model), 0.0, SAMPLED.temperature) - want).abs().max() > 1e-2


def test_log_probs_of_a_mixture_of_two_models_of_different_sizes():
    model = tiny_model(1)
    other = tiny_model(2, hidden_size=32, num_attention_heads=4, num_hidden_layers=3)
    groups = engine(model, reference=other).generate(contexts(), 3, SAMPLED, Mixture(0.3))
    want = recomputed(groups, As(model), As(other), 0.3, SAMPLED.temperature)
    torch.testing.assert_close(recorded(groups), want, atol=1e-5, rtol=1e-5)


def test_the_packed_scoring_forward_recomputes_either_end():
    """At coef 0 and 1 the recorded log-probs are those :func:`score` gives for the one model."""
    model, other = tiny_model(1), tiny_model(2)
    sampler = engine(model, reference=other)
    for coef, of in ((0.0, model), (1.0, other)):
        groups = sampler.generate(contexts(), 2, SAMPLED, Mixture(coef))
        with torch.no_grad():
            packed = pack([s for group in groups for s in group.samples])
            logps_N = score(of, packed, temperature=SAMPLED.temperature).logps_N
        torch.testing.assert_close(recorded(groups), logps_N, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"top_k": 9}, {"top_p": 0.8, "min_p": 0.01}])
def test_the_ends_of_a_mixture_are_the_policy_and_the_other_with_the_same_seed(options):
    sampler = engine(lora())
    asked, sampling = contexts(), SAMPLED.model_copy(update=options)
    own = sampler.generate(asked, 2, sampling)
    base = sampler.generate(asked, 2, sampling, "reference")
    assert ids_of(own) != ids_of(base)
    assert ids_of(sampler.generate(asked, 2, sampling, Mixture(0.0))) == ids_of(own)
    assert ids_of(sampler.generate(asked, 2, sampling, Mixture(1.0))) == ids_of(base)
    # So close to an end that both models run, and one of them decides.
    assert ids_of(sampler.generate(asked, 2, sampling, Mixture(1e-9))) == ids_of(own)
    assert ids_of(sampler.generate(asked, 2, sampling, Mixture(1 - 1e-9))) == ids_of(base)
    assert ids_of(sampler.generate(asked, 2, sampling, Mixture(0.5))) not in (ids_of(own), ids_of(base))


def test_a_mixture_of_a_model_with_itself_is_the_model():
    model = tiny_model(3)
    sampler = engine(model, reference=copy.deepcopy(model))
    mixed = sampler.generate(contexts(), 2, SAMPLED, Mixture(0.4))
    own = sampler.generate(contexts(), 2, SAMPLED)
    assert ids_of(mixed) == ids_of(own)
    torch.testing.assert_close(recorded(mixed), recorded(own), atol=1e-6, rtol=1e-6)


def test_a_mixture_does_not_depend_on_the_batch():
    model = lora(1)
    asked = contexts(11, seed=2)
    wide = engine(model, max_rows=64).generate(asked, 3, SAMPLED, Mixture(0.25))
    assert len(set(ids_of(wide))) > 25
    for rows in (1, 5):
        assert ids_of(engine(model, max_rows=rows).generate(asked, 3, SAMPLED, Mixture(0.25))) == ids_of(wide)


def test_the_filters_and_the_greedy_choice_act_on_the_mixture():
    model, other = tiny_model(1), tiny_model(2)
    sampler = engine(model, reference=other)
    greedy = Sampling(temperature=0, max_completion_length=12)
    groups = sampler.generate(contexts(), 1, greedy, Mixture(0.5))
    cut = sampler.generate(contexts(), 1, Sampling(top_k=1, max_completion_length=12), Mixture(0.5))
    assert ids_of(cut) == ids_of(groups)
    with torch.no_grad():
        packed = pack([s for group in groups for s in group.samples])
        best_U = (plain.logits(model, packed) + plain.logits(other, packed)).argmax(-1)
    assert torch.equal(best_U, torch.from_numpy(packed.label_U))


def test_first_tokens_follow_the_mixtures_distribution():
    model = tiny_model(1, initializer_range=0.4)
    other = tiny_model(2, initializer_range=0.4)
    context = Context(token_ids=(5, 6, 7))
    groups = engine(model, reference=other, max_rows=256).generate(
        [context], 3000, Sampling(max_completion_length=1), Mixture(0.5)
    )
    with torch.no_grad():
        first, second = (m(torch.tensor([context.token_ids])).logits[0, -1].double() for m in (model, other))
    probs = torch.softmax((first + second) / 2, -1)
    counts = torch.bincount(
        torch.tensor([c.token_ids[0] for c in completions(groups)]), minlength=258
    ).double()
    often = probs * 3000 >= 5
    seen = torch.cat([counts[often], counts[~often].sum()[None]])
    want = torch.cat([probs[often], probs[~often].sum()[None]]) * 3000
    from scipy.stats import chi2

    assert float(((seen - want) ** 2 / want).sum()) < chi2.ppf(0.999, len(want) - 1)


def test_in_bfloat16_a_mixture_is_close_to_both_scoring_forwards():
    model = lora()
    groups = engine(model, compute_dtype=torch.bfloat16).generate(contexts(), 3, SAMPLED, Mixture(0.5))
    want = recomputed(groups, As(model), adapter_off(model), 0.5, SAMPLED.temperature)
    assert (recorded(groups) - want).abs().mean() < 0.03


def test_the_shorter_of_two_contexts_limits_a_mixture():
    model, other = tiny_model(1), tiny_model(2, max_position_embeddings=30)
    sampler = engine(model, reference=other, stop_ids=())
    asked = [Context(token_ids=tuple(range(25)))]
    assert len(completions(sampler.generate(asked, 1, SAMPLED))[0].token_ids) == 20
    assert len(completions(sampler.generate(asked, 1, SAMPLED, Mixture(0.5)))[0].token_ids) == 5
    with pytest.raises(UserError, match="no room in the model's 30"):
        sampler.generate([Context(token_ids=(1,) * 30)], 1, SAMPLED, "reference")


def test_both_caches_count_against_the_memory():
    """Two layers of keys and values, two heads of 8, float32: 256 bytes a token and model."""
    sampler = engine(tiny_model(1), reference=tiny_model(2), max_rows=64, cache_gib=4 * 256 * 36 / 2**30)
    assert sampler._affordable_rows(sampler._source("policy"), 36) == 4
    assert sampler._affordable_rows(sampler._source("reference"), 36) == 4
    assert sampler._affordable_rows(sampler._source(Mixture(0.5)), 36) == 2


def test_the_plain_policy_runs_one_decoder():
    model = tiny_model(1)
    from charter.engines.decoder import Decoder

    sampler = engine(model, reference=tiny_model(2))
    assert type(sampler._source("policy").decoder(8)) is Decoder
    assert sampler._source("policy").decoder(8).weights is sampler._models["policy"].weights
    assert sampler._source(Mixture(0.0)).parts == (sampler._models["policy"],)


def test_geometric_is_the_normalised_product_of_powers():
    torch.manual_seed(0)
    policy, other = torch.randn(3, 11, dtype=torch.float64), torch.randn(3, 11, dtype=torch.float64)
    for coef in (0.0, 0.2, 0.5, 0.7, 1.0):
        product = torch.softmax(policy, -1) ** (1 - coef) * torch.softmax(other, -1) ** coef
        want = product / product.sum(-1, keepdim=True)
        torch.testing.assert_close(torch.softmax(geometric(policy, other, coef), -1), want)
    assert torch.equal(geometric(policy, other, 0.0), policy)
    assert torch.equal(geometric(policy, other, 1.0), other)


# -- what is asked for --------------------------------------------------------------


@pytest.mark.parametrize("coef", [-0.1, 1.1, float("nan")])
def test_a_coef_outside_its_range_is_refused(coef):
    with pytest.raises(UserError, match="between 0 and 1"):
        Mixture(coef)


def test_mixtures_that_cannot_be():
    with pytest.raises(UserError, match="cannot be mixed with 'policy'"):
        Mixture(0.5, "policy")
    model = tiny_model(1)
    with pytest.raises(UserError, match="no reference"):
        engine(model).generate(contexts(), 1, SAMPLED, Mixture(0.5))
    with pytest.raises(UserError, match="not from 'ema'"):
        engine(model).generate(contexts(), 1, SAMPLED, Mixture(0.5, "ema"))
    with pytest.raises(UserError, match="nothing to mix"):
        engine(model, name="student").generate(contexts(), 1, SAMPLED, Mixture(0.5, "student"))
    script = ScriptedEngine({"hi": ["hello"]})
    with pytest.raises(UserError, match="cannot be mixed"):
        script.generate([Context("hi")], 1, Sampling(), Mixture(0.5))
    assert script.calls == 0


def test_prompts_of_a_data_set_are_sampled_from_a_mixture():
    prompt = Group((Sample(contexts(1)[0], Completion()),), id="a")
    (made,) = sample_prompts(engine(lora()), [prompt], 2, SAMPLED, policy=Mixture(0.25))
    assert made.id == "a"
    assert [c.sampled_by for c in completions([made])] == ["mixture:0.25"] * 2


# -- references and copies --------------------------------------------------------------


def test_full_fine_tuning_has_a_reference_that_stays_as_it_was():
    model = tiny_model(3)
    policy = Policy(copy.deepcopy(model), TOKENIZER, "start", None, version=4)
    sampler = engine(model, reference=policy)
    before = sampler.generate(contexts(), 2, SAMPLED, "reference")
    assert ids_of(before) == ids_of(sampler.generate(contexts(), 2, SAMPLED))
    with torch.no_grad():
        for parameter in (*model.parameters(), *policy.model.parameters()):
            parameter.mul_(1.2)
    sampler.load_weights(model, 9)
    assert sampler.weight_version == 9
    after = sampler.generate(contexts(), 2, SAMPLED, "reference")
    assert after == before
    assert {(c.sampled_by, c.weight_version) for c in completions(after)} == {("reference", 4)}
    assert ids_of(sampler.generate(contexts(), 2, SAMPLED)) != ids_of(before)


def test_a_given_reference_stands_before_the_adapter():
    model, other = lora(), tiny_model(8)
    asked = contexts()
    given = engine(model, reference=other).generate(asked, 1, SAMPLED, "reference")
    assert ids_of(given) == ids_of(engine(other).generate(asked, 1, SAMPLED))
    assert ids_of(given) != ids_of(engine(model).generate(asked, 1, SAMPLED, "reference"))


def test_a_named_copy_is_sampled_and_mixed_beside_the_policy_and_the_reference():
    model, average = lora(0), lora(1)
    sampler = engine(model)
    own = sampler.generate(contexts(), 2, SAMPLED)
    sampler.load_weights(average, 3, "ema")
    copied = sampler.generate(contexts(), 2, SAMPLED, "ema")
    assert {(c.sampled_by, c.weight_version) for c in completions(copied)} == {("ema", 3)}
    assert ids_of(copied) == ids_of(engine(average).generate(contexts(), 2, SAMPLED))
    assert sampler.generate(contexts(), 2, SAMPLED) == own
    mixed = sampler.generate(contexts(), 2, SAMPLED, Mixture(0.5, "ema"))
    assert {(c.sampled_by, c.weight_version) for c in completions(mixed)} == {("mixture:0.5:ema", 0)}
    want = recomputed(mixed, As(model), As(average), 0.5, SAMPLED.temperature)
    torch.testing.assert_close(recorded(mixed), want, atol=1e-5, rtol=1e-5)
    assert ids_of(mixed) != ids_of(sampler.generate(contexts(), 2, SAMPLED, Mixture(0.5)))


def test_weights_put_into_the_model_for_a_moment_are_copied():
    """How the moving average of an adapter gets here: it has no model of its own."""
    model = lora(0)
    sampler = engine(model)
    own = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in own:
                parameter.mul_(0.5)
    sampler.load_weights(model, 1, "ema")
    halved = ids_of(engine(model).generate(contexts(), 2, SAMPLED))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in own:
                parameter.copy_(own[name])
    assert ids_of(sampler.generate(contexts(), 2, SAMPLED, "ema")) == halved
    assert ids_of(sampler.generate(contexts(), 2, SAMPLED)) != halved


def test_a_bad_copy_leaves_the_old_one():
    model, other = tiny_model(1), tiny_model(2)
    sampler = engine(model, reference=other)
    before = sampler.generate(contexts(), 1, SAMPLED, "reference")
    with pytest.raises(UserError, match="300 tokens"):
        sampler.load_weights(tiny_model(vocab_size=300), 1, "reference")
    other.model.norm.weight.data[0] = float("nan")
    with pytest.raises(TrainingFault, match="not finite"):
        sampler.load_weights(other, 1, "reference")
    assert sampler.generate(contexts(), 1, SAMPLED, "reference") == before


def test_an_engine_named_reference_takes_no_other_reference():
    with pytest.raises(UserError, match="cannot itself be named"):
        engine(tiny_model(), name="reference", reference=tiny_model(1))


# -- where transformers runs the model -----------------------------------------------------


def test_architectures_the_decoder_does_not_know_are_mixed_too():
    model, other = gpt2(0), gpt2(1)
    sampler = engine(model, reference=other, max_rows=5)
    asked = contexts(5, longest=30)
    groups = sampler.generate(asked, 2, SAMPLED, Mixture(0.3))
    want = recomputed(groups, As(model), As(other), 0.3, SAMPLED.temperature)
    torch.testing.assert_close(recorded(groups), want, atol=1e-4, rtol=1e-4)
    alone = engine(model, reference=other, max_rows=1).generate(asked, 2, SAMPLED, Mixture(0.3))
    assert ids_of(alone) == ids_of(groups)
    assert ids_of(sampler.generate(asked, 2, SAMPLED, Mixture(1.0))) == ids_of(
        engine(other).generate(asked, 2, SAMPLED)
    )


def test_a_model_of_the_decoder_and_one_of_transformers_are_mixed():
    model, other = tiny_model(1), gpt2(1)
    groups = engine(model, reference=other).generate(contexts(3, longest=20), 2, SAMPLED, Mixture(0.6))
    want = recomputed(groups, As(model), As(other), 0.6, SAMPLED.temperature)
    torch.testing.assert_close(recorded(groups), want, atol=1e-4, rtol=1e-4)


def test_both_ways_mix_the_same():
    """A mixture with the adapter off sent the slow way draws what the decoder draws."""
    from dataclasses import replace

    model = lora()
    fast, slow = engine(model), engine(model)
    slow._models["policy"] = replace(slow._models["policy"], weights=None)
    asked = contexts(4)
    assert ids_of(slow.generate(asked, 2, SAMPLED, Mixture(0.4))) == ids_of(
        fast.generate(asked, 2, SAMPLED, Mixture(0.4))
    )
    assert next(p.requires_grad for n, p in model.named_parameters() if "lora" in n)


def test_the_other_model_is_read_without_dropout_and_left_as_it_was():
    config = GPT2Config(vocab_size=258, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0.5)
    torch.manual_seed(0)
    other = GPT2LMHeadModel(config).train()
    mixer = PlainMixer(other, adapter_on=True, coef=1.0, dtype=torch.float32)
    rows = [(1, 2, 3), (1, 2, 3), (4,)]
    with torch.no_grad():
        first, second = mixer(rows, torch.zeros(3, 258)), mixer(rows, torch.zeros(3, 258))
    assert torch.equal(first, second)
    assert torch.equal(first[0], first[1])
    assert other.training


def test_a_model_that_is_not_copied_cannot_have_two_names():
    model = gpt2(0)
    with pytest.raises(UserError, match="is not copied"):
        engine(model, reference=model)
    sampler = engine(model, reference=copy.deepcopy(model))
    sampler.load_weights(model, 2)
    with pytest.raises(UserError, match="is not copied"):
        sampler.load_weights(sampler._models["reference"].model, 3)
    assert sampler.weight_version == 2
