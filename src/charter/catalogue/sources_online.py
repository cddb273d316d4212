"""Sources and open points of the algorithms that make their own training data, by their names."""

from __future__ import annotations

from collections.abc import Mapping

from charter.catalogue.sources import Source, settled, unsettled

_IPO_ONLINE = settled(
    "settings",
    "2403.08635, appendix B: tau 1.0 (`beta`), mixture of 0.125 for IPO-MD, batch of 32, 30000 steps of "
    "T5-L. Its learning rate of 1e-4 is Adafactor's, which is no guide to AdamW and is not set.",
)

ONLINE: Mapping[str, tuple[Source, ...]] = {
    "ppo": (unsettled("vf_coef", "The coefficient of 1 that 1707.06347 uses is from memory; 0.1 is TRL's."),),
    "ppo-ptx": (
        settled(
            "settings",
            "KL coefficient 0.02, weight of the pretraining text 27.8, eight times as many pretraining "
            "examples as episodes (2203.02155, appendix C.4, read in a transcription).",
        ),
    ),
    "rloo": (
        settled(
            "settings",
            "KL coefficient 0.03, two or four samples, learning rate 1e-6 (2402.14740, appendix C, read in "
            "TRL's index of papers).",
        ),
    ),
    "grpo": (
        unsettled(
            "epsilon",
            "0.2 is from secondary accounts of 2402.03300, which prints 64 samples, KL coefficient 0.04 and "
            "learning rate 1e-6.",
        ),
        unsettled(
            "batch",
            "1024 completions a step, 16 prompts, is how 2402.03300 is quoted; its section 4.2 was not read.",
        ),
    ),
    "p3o": (
        settled("the unclipped gradient", "2310.00212, equation 6."),
        unsettled(
            "where the clips stand",
            "The paper clips ratios separately (V1) or jointly (V2); its formulas were not read, and a "
            "post of the authors prints a product of ratios. The two forms here are Charter's reading.",
        ),
    ),
    "online-ipo": (_IPO_ONLINE,),
    "ipo-md": (_IPO_ONLINE,),
    "nash-md": (
        settled(
            "tau and the mixture",
            "0.008 of a sweep; mixtures of 0.125 to 0.375 did best, 10000 steps (2312.00886).",
        ),
        unsettled(
            "learning rate",
            "2312.00886 prints none; 2403.08635 (appendix B.3) runs Nash-MD at 3e-5 with Adafactor.",
        ),
    ),
    "nash-ema": (
        unsettled(
            "index of the average",
            "Two transcriptions of 2312.00886, appendix F.3, print it as (1 - beta) theta_t + beta theta_0, "
            "a mixture with the first weights; the method's name and its description as a moving average of "
            "past parameters mean (1 - beta) theta_t + beta average_(t-1), which is done here. Both are the "
            "same for beta 0 and 1, the ends of the paper's sweep.",
        ),
        settled("decay", "0.999 and 0.9995 are reported, of a sweep from 0 to 1; tau 0.008 (2312.00886)."),
    ),
    "xpo": (
        unsettled(
            "alpha and its schedule",
            "Algorithm 1 of 2405.21046 leaves alpha and beta to the user, and no schedule was found. TRL's "
            "default is 1e-5 (it takes a list, one value an epoch), oat's 5e-6. The default here is TRL's, "
            "held constant; there is no preset.",
        ),
    ),
    "bpo": (
        unsettled(
            "number of LoRA members, learning rate",
            "Neither was found for 2406.12168; the default is one member, that is no ensemble.",
        ),
    ),
    "rs-dpo": (
        unsettled("eta and tau", "0.85 and 1 are from a secondary account; another gives 0.90 for eta."),
    ),
    "slic-rank": (
        settled(
            "sampling and tournament",
            "8 answers at temperature 0.7 from the 40 most probable tokens, m - 1 comparisons "
            "(2305.10425, section 3). Its learning rate of 1e-5 is Adafactor's, which is no guide to AdamW "
            "and is not set.",
        ),
    ),
}
