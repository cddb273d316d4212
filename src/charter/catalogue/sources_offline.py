"""Sources and open points of the algorithms that train on a data set, by their names."""

from __future__ import annotations

from collections.abc import Mapping

from charter.catalogue.sources import Source, settled, unsettled

_ADAFACTOR = (
    "Those rates are Adafactor's, which scales them by the size of each weight; they are no guide to AdamW "
    "and are not set."
)
_INSTRUCTGPT_RM = unsettled(
    "learning rate 9e-6 and batch of 64",
    "Given from secondary accounts; appendix C.2 of 2203.02155 was not read. That all pairs of a prompt are "
    "one element of a batch, with equation 1, is section 3.5.",
)
_APO = settled(
    "learning rate and batch",
    "2e-7 and 64, in the published version of 2408.06266 (section 5.2, appendix B.1), read in TRL's index of "
    "papers.",
)
_AOT = unsettled(
    "published settings",
    "None were found: TRL's index of papers finds no settings of its own in 2406.05882, which trains on "
    "UltraFeedback with the Alignment Handbook's code. `preset: paper` therefore has nothing to set.",
)
_SLIC_RANKER = settled(
    "batch and learning rate of the rankers",
    "2305.10425, section 3, in two accounts of it: batch of 128, learning rate 1e-3 for T5-XXL. "
    + _ADAFACTOR,
)

OFFLINE: Mapping[str, tuple[Source, ...]] = {
    "sft": (
        unsettled(
            "InstructGPT's settings (16 epochs, cosine, 9.65e-6)",
            "As DeepSpeed-Chat's scripts cite them; appendix C.1 of 2203.02155 was not read. The paper's "
            "dropout of 0.2 on residuals is not offered.",
        ),
    ),
    "context-distillation": (
        settled(
            "direction of the divergence",
            "KL(teacher || policy), the teacher being the first model under the context (2112.00861, "
            "section 2).",
        ),
        unsettled(
            "the teacher's 50 most probable tokens and one bucket for the rest",
            "`distillation_topk` 50 is from a secondary account; the passage was not found in the paper's "
            "text. The bucket is needed in any case: without it the reduced sides are no distributions.",
        ),
    ),
    "on-policy-distillation": (
        unsettled(
            "published settings",
            "An account of appendix A.3 of 2306.13649 names learning rate 3e-4 for T5 on XSum; batch, "
            "temperature and length of answers could not be read. " + _ADAFACTOR + " `preset: paper` has "
            "nothing else to set.",
        ),
    ),
    "reward": (_INSTRUCTGPT_RM,),
    "reward-kwise": (_INSTRUCTGPT_RM,),
    "reward-margin": (
        settled("the two sets of margins", "3, 2, 1, 0 and 1, 2/3, 1/3, 0 (2307.09288, table 27)."),
        settled(
            "settings",
            "2307.09288, section 3.2.2: one epoch, 1e-5 (70B: 5e-6), cosine to a tenth of it, warm-up of 3% "
            "of the steps and at least 5, 512 pairs a step, the base model's AdamW. Charter's cosine ends "
            "at 0.",
        ),
        unsettled(
            "which set the released reward models used",
            "The paper compares both and does not say. The preset takes the large one, which is better on "
            "clear pairs and splits the scores in two (figure 27).",
        ),
    ),
    "reward-regression": (
        settled(
            "settings",
            "2406.08673, section 3 (HelpSteer2, five attributes): mean squared error on a linear head at the "
            "end of the answer, two epochs, batch of 128, constant learning rate after 10 steps of warm-up, "
            "2e-6 for 70B and 7e-7 for 340B. 2310.05344 came before it, and predicts the ratings as text.",
        ),
    ),
    "reward-pmp": (
        settled(
            "pairs or rankings, and how long",
            "Pairs of a better and a worse answer transfer better than rankings; one epoch (2112.00861, "
            "section 4).",
        ),
        unsettled(
            "learning rate",
            "An account of 2204.05862 prints 1e-3 for this stage and 1e-5 for people's pairs, without saying "
            "whether they are absolute or relative to pretraining. The default of 1e-5 is Charter's.",
        ),
        unsettled("weight of the language-model loss", "None is printed in what was read; 1 is Charter's."),
    ),
    "process-reward": (
        settled(
            "what a neutral step counts as",
            "2305.20050, appendix F: the model is trained on three labels, and when a solution is scored "
            "neutral counts as positive, the score being the product over steps (78.2% of problems solved, "
            "77.4% where neutral counts as negative). With one logit here, write a neutral step as true.",
        ),
        settled("epochs", "Two (2305.20050, appendix F.1). Labels end at the first wrong step (phase 2)."),
        unsettled("learning rate", "The paper says no more than that it is small; the default is Charter's."),
    ),
    "genrm": (
        unsettled(
            "lambda_sft",
            "2408.15240 asks only for lambda > 0, and no number was found. 1/3 is Charter's choice.",
        ),
        settled(
            "the score",
            "p(Yes) after the question; the mean over 32 sampled critiques for GenRM-CoT; as many right as "
            "wrong answers in training (2408.15240).",
        ),
    ),
    "genrm-pairwise": (
        settled(
            "settings",
            "2410.12832, appendix A.2 and A.3: learning rate 1e-6 (2e-5 for the first fine-tuning on "
            "reasons), betas 0.9 and 0.95, weight decay 0.1, cosine, three epochs an iteration, DPO with "
            "beta 1 on right over wrong verdicts, majority of 32.",
        ),
        unsettled(
            "batch, and the unit of the warm-up",
            "No batch is printed. The warm-up of 0.1 has no unit, and is read as a share of the steps.",
        ),
    ),
    "slic-pointwise": (_SLIC_RANKER,),
    "slic-pairwise": (_SLIC_RANKER,),
    "dpo": (
        settled(
            "settings",
            "2305.18290 (third version), appendix B: beta 0.1 (0.5 on TL;DR), batch of 64, RMSprop at 1e-6 "
            "after 150 steps of linear warm-up. Charter's optimizer is AdamW; a run of fewer steps never "
            "gets to that rate.",
        ),
    ),
    "apo-zero": (_APO,),
    "apo-down": (_APO,),
    "discopop": (
        settled("settings", "beta 0.05, learning rate 5e-7, batch of 64 (2406.08414, appendices B.1 and E)."),
    ),
    "aot": (_AOT,),
    "aot-unpaired": (_AOT,),
    "ld-dpo": (
        settled(
            "ld_alpha",
            "It differs by model; 0.5 is best for Llama-3-8B-Instruct in the authors' summary of 2409.06411.",
        ),
        unsettled("beta and learning rate", "Not found; the preset sets ld_alpha alone."),
    ),
    "orpo": (
        unsettled(
            "the weight of the odds ratio",
            "0.1 for Mistral and 0.2 for Phi-2 and Llama 2 are from a secondary account of 2403.07691.",
        ),
    ),
    "simpo": (
        unsettled(
            "range of learning rates",
            "3e-7 to 1e-6 is how the authors' advice is passed on; 2405.14734's own table was not read.",
        ),
    ),
    "slic-hf": (
        settled(
            "delta and batch",
            "1.0 and 32 (2305.10425, section 3, in two accounts of it), with learning rate 1e-5. "
            + _ADAFACTOR,
        ),
        unsettled("nll_coef", "The paper's lambda is not printed in what was read; 0.1 is HALOs'."),
    ),
    "sdpo": (
        settled(
            "parts and their order",
            "2403.19270: two parts, from easy to hard by how often a reward model ranks their pairs "
            "rightly; policy and reference of each start from the part before. Charter's `margin` sorts "
            "rows, not sources.",
        ),
        unsettled(
            "beta and learning rate",
            "The paper takes them over from 2310.16944, which was not read; 0.1 is that of DPO.",
        ),
    ),
    "dpo-behaviour": (unsettled("learning rate", "2406.12168's was not found; the default is Charter's."),),
    "kto": (
        unsettled(
            "learning rate, and the range of the weights",
            "5e-6 is HALOs'. The ratio of weighted counts is kept within 1 to 4/3 by TRL; a later version of "
            "2402.01306 is said to allow 3/2, and was not read.",
        ),
    ),
    "gdpo": (
        settled(
            "beta and the other settings",
            "The paper (2412.20299) prints no beta; the authors' repository (BigBinnie/GDPO) does: 0.1, "
            "batch of 32, 20 epochs (train_scripts/run_gdpo.sh); learning rate 5e-7 after 150 steps of "
            "warm-up, RMSprop, gradients to norm 10, 512 tokens (config/config.yaml).",
        ),
        settled(
            "whether the beliefs' probabilities are made to sum to 1",
            "They are not: the authors' code compares with the probabilities over the whole vocabulary.",
        ),
    ),
}
