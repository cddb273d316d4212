"""Fields of ``DPOConfig`` alone, and those it had before TRL 1.16."""

from __future__ import annotations

from charter.catalogue.from_trl.field import NO_PADDING, Rows, Trainer, refused, same

_DPO: tuple[Trainer, ...] = ("dpo",)

SECTIONS: dict[str, Rows] = {
    "Direct preference optimisation (`DPOConfig`)": (
        *same("beta", of=_DPO),
        *same("loss_type", "one name, or a list", default="one name; TRL's is a list of one", of=_DPO),
        *same("loss_weights", of=_DPO),
        *same("label_smoothing", of=_DPO),
        *same("f_divergence_type f_alpha_divergence_coef", of=_DPO),
        *same("ld_alpha use_weighting discopop_tau", of=_DPO),
    ),
    "Direct preference optimisation, before TRL 1.16": (
        *same("rpo_alpha", of=_DPO),
        *refused(
            "reference_free",
            "not offered: cpo without its NLL term (cpo_alpha 0) is DPO against a uniform reference",
            of=_DPO,
        ),
        *refused(
            "force_use_ref_model",
            "does nothing here: the reference is the policy as it was before the first step",
            of=_DPO,
        ),
        *refused(
            "model_adapter_name ref_adapter_name",
            "not offered: an adapter the policy brings is merged, and the result is the reference",
            of=_DPO,
        ),
        *refused("label_pad_token_id padding_value", NO_PADDING, of=_DPO),
        *refused(
            "use_logits_to_keep", "always on: logits are computed only where a token is scored", of=_DPO
        ),
        *refused("tools", "not offered: the chat template takes the turns alone", of=_DPO),
        *refused(
            "use_liger_loss base_model_attribute_name",
            "always on in effect: logits are computed in chunks, and only where a token is scored",
            of=_DPO,
        ),
        *refused(
            "ref_model_init_kwargs", "not offered: the reference is the policy itself, loaded once", of=_DPO
        ),
    ),
}
