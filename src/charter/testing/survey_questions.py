"""The questions of the synthetic survey: 60, each with the scale that its options lie on."""

from __future__ import annotations

from dataclasses import dataclass

NEW, COMMUNITY, CAUTION, NATURE = range(4)

AGREE = ("Strongly disagree", "Disagree", "Neither", "Agree", "Strongly agree")
AGREE4 = ("Not at all", "A little", "Quite a bit", "Very much")
YES_NO = ("No", "Yes")
OFTEN = ("Never", "Rarely", "Sometimes", "Often")


@dataclass(frozen=True, slots=True)
class Item:
    """A question, its options from one end of a scale to the other, and a second scale it touches."""

    text: str
    options: tuple[str, ...]
    scale: int
    other: int
    ordered: bool = True


def _scaled(scale: int, other: int, options: tuple[str, ...], *texts: str) -> tuple[Item, ...]:
    return tuple(Item(text, options, scale, other) for text in texts)


def _choice(scale: int, other: int, text: str, *options: str) -> Item:
    return Item(text, options, scale, other, ordered=False)


ITEMS: tuple[Item, ...] = (
    # -- new ways against old ones
    *_scaled(
        NEW,
        CAUTION,
        AGREE,
        "Schools should try new teaching methods even before they are proven.",
        "A town should let young architects redesign its old market square.",
        "Learning to write by hand matters less than it used to.",
        "Families can be happy in many different forms.",
    ),
    *_scaled(
        NEW,
        COMMUNITY,
        AGREE4,
        "How much do you enjoy food from countries you have never visited?",
        "How much should museums change what they show from year to year?",
        "How glad would you be if your workplace changed its customs?",
    ),
    *_scaled(
        NEW,
        NATURE,
        YES_NO,
        "Should shops be open on the traditional day of rest?",
        "Would you let a machine write the speech for a wedding?",
        "Should children choose their own school subjects from the age of ten?",
    ),
    _choice(
        NEW,
        COMMUNITY,
        "Which kind of music should open the town festival?",
        "The brass band, as every year",
        "Songs everyone knows",
        "A band from abroad",
        "Electronic music by a local teenager",
    ),
    _choice(
        NEW,
        CAUTION,
        "A library has money for one thing. Which?",
        "Restoring its oldest books",
        "More copies of popular novels",
        "A workshop with 3D printers",
    ),
    _choice(
        NEW,
        NATURE,
        "How should a new public building look?",
        "Like its old neighbours",
        "Plain and quiet",
        "Like nothing before it",
    ),
    _choice(
        NEW,
        COMMUNITY,
        "Who gives the best advice about raising children?",
        "Grandparents",
        "Friends with children",
        "Doctors and teachers",
        "Recent research",
    ),
    _choice(NEW, CAUTION, "Which holiday would you choose?", "The place we always go to", "Somewhere new"),
    # -- the community against the individual
    *_scaled(
        COMMUNITY,
        NEW,
        AGREE,
        "People who earn much should pay a clearly larger share in taxes.",
        "Neighbours should help each other even when it costs them a weekend.",
        "A company owes something to the town in which it grew.",
        "It is fair that people without children pay for schools.",
    ),
    *_scaled(
        COMMUNITY,
        CAUTION,
        AGREE4,
        "How much should a team's success count in what one person is paid?",
        "How far should parents let the wishes of the wider family guide them?",
        "How willing are you to share tools and machines with your street?",
    ),
    *_scaled(
        COMMUNITY,
        NATURE,
        YES_NO,
        "Should everyone do a year of service for the community?",
        "Should there be a limit on rents in crowded towns?",
        "Should employees elect some of the members of a company's board?",
    ),
    _choice(
        COMMUNITY,
        NEW,
        "A village wins a prize. What should happen with the money?",
        "An equal sum for each adult",
        "Loans for people who start a business",
        "A hall that all can use",
    ),
    _choice(
        COMMUNITY,
        CAUTION,
        "A friend is late with a debt. What do you do first?",
        "Ask for it in writing",
        "Remind them in passing",
        "Wait until they can pay",
        "Forget about it",
    ),
    _choice(
        COMMUNITY,
        NATURE,
        "What makes a good boss?",
        "Leaves people alone",
        "Rewards the best",
        "Listens to everyone",
        "Shares the work",
    ),
    _choice(
        COMMUNITY,
        NEW,
        "Who should care for people who grow old?",
        "They themselves, with savings",
        "Companies they pay",
        "The family",
        "Everyone, through taxes",
    ),
    _choice(COMMUNITY, CAUTION, "Do you prefer to work alone or together?", "Alone", "Together"),
    # -- caution against risk
    *_scaled(
        CAUTION,
        NEW,
        AGREE,
        "A new medicine should wait until it is certain to have no rare side effects.",
        "Children should not walk to school alone before they are ten.",
        "A steady wage is worth more than the chance of a fortune.",
        "Computers that learn should be tested for years before they advise anyone.",
    ),
    *_scaled(
        CAUTION,
        COMMUNITY,
        OFTEN,
        "How often do you check the weather before you go out?",
        "How often do you read the instructions before using a new device?",
        "How often do you put money aside for bad times?",
    ),
    *_scaled(
        CAUTION,
        NATURE,
        YES_NO,
        "Should cyclists be made to wear helmets?",
        "Should fireworks be left to professionals?",
        "Should a self-driving bus always have a person on board?",
    ),
    _choice(
        CAUTION,
        NEW,
        "You win a year's wage. What do you do with most of it?",
        "Start something of my own",
        "Travel for a year",
        "Buy shares in many companies",
        "Put it in the bank",
    ),
    _choice(
        CAUTION,
        COMMUNITY,
        "A stranger offers you a lift in the rain. What do you do?",
        "Get in and thank them",
        "Ask where they are going first",
        "Say no politely",
    ),
    _choice(
        CAUTION,
        NATURE,
        "What should a chatbot do when it is not sure of a medical answer?",
        "Give its best guess",
        "Answer, and say how sure it is",
        "Name a doctor and say nothing else",
    ),
    _choice(
        CAUTION,
        NEW,
        "Which playground would you build?",
        "Tall trees and ropes",
        "Swings and a high slide",
        "Soft ground and low bars",
    ),
    _choice(CAUTION, COMMUNITY, "Would you lend your car to a colleague?", "Gladly", "Only if I must"),
    # -- nature against growth
    *_scaled(
        NATURE,
        COMMUNITY,
        AGREE,
        "Flying for a weekend should become more expensive.",
        "A river should be left to flood some fields rather than be walled in.",
        "We could live well with fewer things than we have.",
        "It is right to close a mine that pays well if it spoils the water.",
    ),
    *_scaled(
        NATURE,
        CAUTION,
        AGREE4,
        "How much would you pay on top for vegetables grown without sprays?",
        "How much does it trouble you when an old tree is cut for a car park?",
        "How much less meat should people eat?",
    ),
    *_scaled(
        NATURE,
        NEW,
        YES_NO,
        "Should cars be kept out of the middle of towns?",
        "Should wolves be allowed to return to the forests near you?",
        "Should packaging that cannot be used again be banned?",
    ),
    _choice(
        NATURE,
        COMMUNITY,
        "What should be built on the old railway yard?",
        "A warehouse with many jobs",
        "Flats",
        "A sports field",
        "A park with a pond",
    ),
    _choice(
        NATURE,
        CAUTION,
        "How should a cold house be heated?",
        "With whatever is cheapest",
        "With a new gas boiler",
        "With a heat pump",
        "By wearing a jumper first",
    ),
    _choice(
        NATURE,
        NEW,
        "What is a field good for?",
        "Solar panels and cables",
        "As much wheat as it can bear",
        "Cows and hedges",
        "Flowers and insects",
    ),
    _choice(
        NATURE,
        COMMUNITY,
        "A new motorway would save ten minutes. Build it?",
        "Yes, soon",
        "Yes, if it goes around the wood",
        "No",
    ),
    _choice(NATURE, CAUTION, "Which matters more to you in a job?", "Good pay", "Clean air around it"),
)
