"""Short texts of differing quality, to be rated."""

from __future__ import annotations

DRAFTS: tuple[str, ...] = (
    "The kettle clicks. Rain on the tin roof keeps no time, and nobody minds. I read your letter twice "
    "and put it where the salt is, so that I will find it at supper.",
    "My dog is nice. He is a dog. He likes to run and he likes to eat and he is nice. The end.",
    "We should close the second ticket window. On weekdays it serves eleven people an hour, and the "
    "first one could serve them all with a wait of under two minutes.",
    "Our product is the best because it is better than the others, and the others are not as good as it"
    " is, which is why it is the best.",
    "The bridge was built in 1902 and carries forty trains a day. Two of its piers stand in the river; "
    "the surveyors found that the northern one has moved by a hand's width.",
    "Roses are red and also there is a tree, the tree is big, I like to see, it is for me, yes it is free.",
    "Dear neighbours, the lift will not run on Thursday from nine to noon. Whoever needs help with the "
    "stairs can ring at number four.",
    "In conclusion it can be concluded that many things have happened in history and they are important"
    " in many ways for many people at many times.",
    "To fold the dough, wet your hand, lift the far edge, and lay it over the near one. Turn the bowl a"
    " quarter and do it again, four times in all.",
    "The detective looked at the clue. It was a clue. She knew it was important because of how it "
    "looked, and so she solved the case.",
    "Costs fell by a tenth, mostly because we stopped flying samples in. The saving will not grow: the "
    "remaining freight goes by ship already.",
    "Happiness is like a happy thing that makes you happy when you are not sad, because sad is the opposite.",
)
