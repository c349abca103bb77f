//! The material of scripted replies: a first sentence, a link and a second sentence per voice.
//!
//! Eleven, six and seven are chosen so that a voice says nothing twice within 77 of its turns, whatever the cast's size
//! (unless that is a multiple of seven or eleven).

/// What one voice can say. `seconds` begin in lower case, because a link may stand before them.
pub struct Voice {
    pub firsts: [&'static str; 11],
    pub seconds: [&'static str; 7],
}

/// What joins the two sentences; the call's seed chooses.
pub const LINKS: [&str; 6] = ["", "And yet ", "Still, ", "So ", "Even now, ", "In the end, "];

/// The voice of a Jungian agent, or a plain one for any other.
pub fn voice(agent: &str) -> &'static Voice {
    match agent {
        "ego" => &EGO,
        "shadow" => &SHADOW,
        "persona" => &PERSONA,
        "anima" => &ANIMA,
        "self" => &SELF,
        _ => &PLAIN,
    }
}

const EGO: Voice = Voice {
    firsts: [
        "I have read the first line twice and I know no more than before.",
        "Let me put the facts in order before anybody shouts.",
        "I can name one thing that is certain and three that are only feared.",
        "There is work to be done today, and this is part of it.",
        "I do not like the tone, but I cannot say that it is false.",
        "If I wait until I feel ready, I shall wait for ever.",
        "I asked for reasons and was given weather.",
        "My hands are steady, which is more than I expected.",
        "I want to understand this before I am asked to forgive it.",
        "Someone has to decide, and the chair is empty but for me.",
        "I made a list, and the last item frightens me most.",
    ],
    seconds: [
        "I will take the next step and look at what it changes.",
        "the question that stops me is what I would lose by knowing.",
        "I shall give it an hour, and then I shall choose.",
        "what I need now is one honest answer and a little quiet.",
        "I will write down what each of you said and read it in the morning.",
        "tomorrow has a plan, and tonight has only this.",
        "I can carry a hard truth better than a vague one.",
    ],
};

const SHADOW: Voice = Voice {
    firsts: [
        "You smell of soap and you have not washed.",
        "Say the word you keep biting in half.",
        "I was hungry at that table, and you told them we had eaten.",
        "You call it patience because cowardice has a worse sound.",
        "Somebody gained by your silence, and it was not us.",
        "I kept the knife you were too polite to pick up.",
        "You hate him, and you sent him flowers.",
        "Every bruise you forgot, I counted.",
        "You lock the cellar and then complain of the noise.",
        "I am the appetite you starve in company.",
        "Go on, smile again, it nearly worked.",
    ],
    seconds: [
        "you will choke on it before you swallow me.",
        "I want what was taken, with interest.",
        "one slammed door would be more honest than all your letters.",
        "the dog in me has never bitten a friend.",
        "you need my teeth more than your manners.",
        "I am not leaving, I have nowhere else to be true.",
        "you could have fought, and you folded napkins.",
    ],
};

const PERSONA: Voice = Voice {
    firsts: [
        "We shall answer with a card and a sensible delay.",
        "The neighbours already think so well of our composure.",
        "One does not raise such matters before the coffee.",
        "It would be charming to describe this as a small misunderstanding.",
        "People remember a tone long after they forget a reason.",
        "We have a reputation for kindness and it must be fed.",
        "Let us wear the grey coat and speak of travel.",
        "Our colleagues would be surprised, and surprise is expensive.",
        "There is a graceful way to say no, and I have practised it.",
        "A little laughter will carry us to the door.",
        "We were invited because we never make scenes.",
    ],
    seconds: [
        "everyone will leave the room believing they were right.",
        "we might put fresh flowers where the letter lay.",
        "silence at dinner would be far worse than any secret.",
        "the story can be told in a way that flatters all of us.",
        "we shall thank them, warmly, and mean it enough.",
        "nobody needs to see the room behind this room.",
        "a good host knows what not to notice.",
    ],
};

const ANIMA: Voice = Voice {
    firsts: [
        "There is a lamp under the water and it burns.",
        "I heard a cello in the wall, and nobody was playing.",
        "A white bird sat on the bed and called you by your first name.",
        "The moon came in without knocking and lay down between us.",
        "Once there was an orchard where your grief is now.",
        "My boat has no oars, and it knows the way.",
        "All night the rain wrote the same word on the glass.",
        "You dropped a song in the river and it came back with gills.",
        "In the house I dream of, one window faces the sea.",
        "A woman in a wet coat waits at the end of every street.",
        "The night has hands, and they were gentle.",
    ],
    seconds: [
        "come closer, it is only the dark learning to sing.",
        "the heart keeps a tide that no calendar has printed.",
        "what you miss is missing you, on the other shore.",
        "leave the door ajar for whatever is feathered.",
        "I would rather drown in that music than be dry and correct.",
        "something tender is asleep under the stone.",
        "follow the echo, it is older than the voice.",
    ],
};

const SELF: Voice = Voice {
    firsts: [
        "The hand that hides and the hand that seeks belong to one body.",
        "I see that both the fear and the wish have told the truth.",
        "What is quarrelling here was once a single breath.",
        "A circle has room for the wound and for the one who made it.",
        "Between the mask and the cellar there is a stair.",
        "Neither voice is wrong, and neither is whole.",
        "The centre does not hurry, and it does not leave.",
        "What you fight at the gate is bringing you your name.",
        "Day needs the night to know its own edge.",
        "The seed is broken before it is a tree.",
        "Everything exiled is on its way home.",
    ],
    seconds: [
        "a third thing is becoming, and it has no face yet.",
        "let each opposite be named, and neither be crowned.",
        "the balance you look for is a movement, not a rest.",
        "wholeness is wide enough to hold even the one who refuses it.",
        "what was divided begins to turn around one middle.",
        "blessing is slower than judgement, and it lasts.",
        "stay with the tension until it gives birth.",
    ],
};

const PLAIN: Voice = Voice {
    firsts: [
        "I have been listening, and I would like to add something.",
        "That can be seen from another side.",
        "There is a detail nobody has mentioned yet.",
        "I agree with the half of it that costs something.",
        "Let us look at what was actually said.",
        "I am not sure the question is the right one.",
        "It helps me to say it in other words.",
        "Something in the last answer surprised me.",
        "We keep coming back to the same place for a reason.",
        "I remember that this began quite differently.",
        "An example would tell us more than a rule.",
    ],
    seconds: [
        "I would rather ask than assume.",
        "the disagreement seems smaller than it sounded.",
        "we could try it once and see what follows.",
        "somebody should say what they would need to change their mind.",
        "the simplest reading has not been ruled out.",
        "I would keep both possibilities open a little longer.",
        "it matters who would have to live with the answer.",
    ],
};
