mod classes;
mod messages;
mod placing;
mod preemption;
mod running;
